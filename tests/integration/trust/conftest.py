"""A guarded Kafka for this folder's tests, and the users of it."""

from __future__ import annotations

import atexit
import gc
import itertools
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator

import pytest

from tests.certificates import CertificateAuthority
from tests.guarded import Right, admit, guarded_kafka
from tests.integration.trust.roles import ADMIN_SECRET
from workflow_events import KafkaSettings
from workflow_events.testing.apache_kafka import ApacheKafka
from workflow_events.testing.kafka_sources import Broker
from workflow_events.topics import ensure_topics

# Airflow writes a configuration file into its home when it is first imported: not into the developer's.
if "AIRFLOW_HOME" not in os.environ:
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="workflow-events-airflow-trust-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

Admit = Callable[..., KafkaSettings]


@pytest.fixture(autouse=True)
def _collect_what_is_left_here() -> Iterator[None]:
    """A loop that ends before TLS has said good-bye leaves its socket to the collector; see ``test_access``."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def guarded(
    apache_kafka: Broker, authority: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApacheKafka]:
    if not isinstance(apache_kafka, ApacheKafka):
        pytest.skip("the guarded Kafka is made from Maven Central's jars, and this run has another one")
    with guarded_kafka(authority, tmp_path_factory.mktemp("broker"), admin_secret=ADMIN_SECRET) as kafka:
        yield kafka


@pytest.fixture(scope="session")
def anyone(guarded: ApacheKafka, authority: CertificateAuthority) -> KafkaSettings:
    """What ``admin`` connects with, without topics."""
    return KafkaSettings(
        _env_file=None,
        bootstrap_servers=guarded.bootstrap_servers,
        security_protocol="SASL_SSL",
        sasl_mechanism="PLAIN",
        sasl_username="admin",
        sasl_password=ADMIN_SECRET,
        ssl_cafile=str(authority.cafile),
        connect_timeout=5,
        topic_partitions=2,
    )


def with_topic_names(settings: KafkaSettings) -> KafkaSettings:
    tag = uuid.uuid4().hex[:8]
    kinds = ("events", "results", "progress", "control")
    return settings.replace(**{f"workflow_{kind}_topic": f"{kind}-{tag}" for kind in kinds})


@pytest.fixture
def unmade(anyone: KafkaSettings) -> KafkaSettings:
    """``admin``'s settings with new names for topics that are not there yet."""
    return with_topic_names(anyone)


@pytest.fixture
def admin(unmade: KafkaSettings) -> KafkaSettings:
    """``admin``'s settings with new topics."""
    ensure_topics(unmade)
    return unmade


@pytest.fixture
def user() -> Admit:
    """``user(admin, rights)``: settings of a new user by SCRAM with just these rights; its password has ``secret`` in it."""
    numbers = itertools.count()

    def make(admin: KafkaSettings, rights: Iterable[Right], mechanism: str = "SCRAM-SHA-512") -> KafkaSettings:
        name = f"user{next(numbers)}-{uuid.uuid4().hex[:6]}"
        return admit(admin, name, f"secret-of-{name}", rights, mechanism)

    return make
