"""The pytest plugin: real brokers, databases and Airflow as fixtures.

Fixtures (those of session scope start once and only when a test asks for them):

``embedded_broker``, ``apache_kafka``
    One broker each, for the session. They have ``bootstrap_servers``.
``kafka_broker``
    One of the two; a test that asks for it runs once per broker, with the ids ``embedded`` and ``apache``.
``kafka_settings``
    `KafkaSettings` for ``kafka_broker`` with topics of fresh, unique names, which exist until the test's end.
    ``embedded_settings`` and ``apache_settings`` are the same on one given broker.
``postgres``
    A throw-away PostgreSQL server for the session, with ``dsn`` and ``create_database(name)``.
``redis``
    A throw-away Redis server for the session, with ``url`` and ``new_database()``.
``s3``
    An S3 API server for the session, with ``endpoint``, ``environment`` and ``create_bucket(name)``.
``airflow_stack``
    A factory of `AirflowStack`; what it makes is a context manager that runs Airflow's processes.

Marker ``kafka_brokers(*names)`` chooses the brokers of one test or module, the option ``--kafka-brokers=embedded,apache``
(also an ini value ``kafka_brokers``) those of a run.

A part that cannot be had here skips the tests that need it; where the environment variable ``CI`` is set, it fails them.
The summary of the run says how many tests ran on which part.

pytest loads this module in every project, so nothing but pytest is imported before a fixture is used.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import pytest

if TYPE_CHECKING:
    from workflow_events.settings import KafkaSettings
    from workflow_events.testing.airflow import AirflowStack
    from workflow_events.testing.embedded import EmbeddedBroker
    from workflow_events.testing.kafka_sources import Broker
    from workflow_events.testing.postgres import PostgresServer
    from workflow_events.testing.redis import RedisServer
    from workflow_events.testing.s3 import S3Server

BROKERS = {"embedded": "embedded_broker", "apache": "apache_kafka"}
"""The names of the brokers, and the fixture of each."""

T = TypeVar("T")
_PART = "workflow_events_real_part"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the choice of brokers."""
    about = "brokers that tests of `kafka_broker` run on, separated by commas: embedded, apache"
    parser.getgroup("workflow-events").addoption("--kafka-brokers", default=None, metavar="NAMES", help=about)
    parser.addini("kafka_brokers", about, default=",".join(BROKERS))


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", "kafka_brokers(*names): the brokers this test of `kafka_broker` runs on")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that asks for ``kafka_broker`` once per chosen broker."""
    if "kafka_broker" not in metafunc.fixturenames:
        return
    chosen = metafunc.config.getoption("--kafka-brokers") or metafunc.config.getini("kafka_brokers")
    names = [name.strip() for name in chosen.split(",") if name.strip()]
    marker = metafunc.definition.get_closest_marker("kafka_brokers")
    if marker is not None:
        names = [name for name in names if name in marker.args]
    unknown = sorted({*names, *(marker.args if marker else ())} - BROKERS.keys())
    if unknown:
        raise pytest.UsageError(f"no broker is named {', '.join(unknown)}; there are {', '.join(BROKERS)}")
    metafunc.parametrize("kafka_broker", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[EmbeddedBroker]:
    """Yield a running embedded broker."""
    with ExitStack() as stack:
        yield _had(stack, _embedded_broker)


@pytest.fixture(scope="session")
def apache_kafka() -> Iterator[Broker]:
    """Yield a running Apache Kafka; see `kafka_sources` for where it comes from."""
    from workflow_events.testing.kafka_sources import some_apache_kafka

    with ExitStack() as stack:
        yield _had(stack, some_apache_kafka)


@pytest.fixture(scope="session")
def kafka_broker(request: pytest.FixtureRequest) -> Broker:
    """Return one running broker after the other."""
    broker: Broker = request.getfixturevalue(BROKERS[request.param])
    return broker


@pytest.fixture
def kafka_settings(kafka_broker: Broker) -> Iterator[KafkaSettings]:
    """Yield settings for ``kafka_broker`` whose topics are new and empty."""
    with _new_topics(kafka_broker) as settings:
        yield settings


@pytest.fixture
def embedded_settings(embedded_broker: Broker) -> Iterator[KafkaSettings]:
    """Yield settings for the embedded broker whose topics are new and empty."""
    with _new_topics(embedded_broker) as settings:
        yield settings


@pytest.fixture
def apache_settings(apache_kafka: Broker) -> Iterator[KafkaSettings]:
    """Yield settings for Apache Kafka whose topics are new and empty."""
    with _new_topics(apache_kafka) as settings:
        yield settings


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Yield a running PostgreSQL server."""
    from workflow_events.testing.postgres import PostgresServer

    with ExitStack() as stack:
        yield _had(stack, PostgresServer)


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """Yield a running Redis server."""
    from workflow_events.testing.redis import RedisServer

    with ExitStack() as stack:
        yield _had(stack, RedisServer)


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """Yield a running S3 API server."""
    from workflow_events.testing.s3 import S3Server

    with ExitStack() as stack:
        yield _had(stack, S3Server)


@pytest.fixture(scope="session")
def airflow_stack() -> Callable[..., AirflowStack]:
    """Return `AirflowStack`, or skip where Airflow is not installed.

    Make a fixture of your own of it, in the scope that suits::

        @pytest.fixture(scope="module")
        def airflow(airflow_stack):
            with airflow_stack(dags_folder=Path("dags")) as stack:
                yield stack
    """
    from workflow_events.testing.airflow import AirflowStack, airflow_version
    from workflow_events.testing.unavailable import PartUnavailableError

    reason = None
    try:
        airflow_version()
    except PartUnavailableError as error:
        reason = str(error)
    if reason is not None:
        _unavailable(reason)
    return AirflowStack


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Note the real parts that the test runs on."""
    for value in getattr(item, "funcargs", {}).values():
        part = _real_part_of(value)
        if part is not None and (_PART, part) not in item.user_properties:
            item.user_properties.append((_PART, part))
    return (yield)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many tests ran on which real part, and which parts were missing."""
    counts: Counter[str] = Counter()
    for outcome in ("passed", "failed", "xfailed", "xpassed"):
        for report in terminalreporter.getreports(outcome):
            if getattr(report, "when", None) == "call":
                counts.update(value for name, value in report.user_properties if name == _PART)
    if counts:
        terminalreporter.section("real parts (workflow-events)")
        for part, count in sorted(counts.items()):
            terminalreporter.write_line(f"{count:5d} {'test' if count == 1 else 'tests'} ran on {part}")


def _real_part_of(value: object) -> str | None:
    # Asked of the class first: a mock, or a lazy object of a user's, should not be woken by a look.
    if hasattr(type(value), "real_part") or "real_part" in getattr(type(value), "__dataclass_fields__", ()):
        return str(getattr(value, "real_part"))  # noqa: B009 - the type is any that has it
    return None


def _embedded_broker() -> EmbeddedBroker:
    from workflow_events.testing.embedded import EmbeddedBroker

    return EmbeddedBroker()


def _had(stack: ExitStack, make: Callable[[], AbstractContextManager[T]]) -> T:
    """Enter what `make` makes, or skip (fail in CI) where it cannot be had."""
    from workflow_events.testing.unavailable import PartUnavailableError

    try:
        return stack.enter_context(make())
    except PartUnavailableError as error:
        reason = str(error)
    return _unavailable(reason)


def _unavailable(reason: str) -> NoReturn:
    if os.environ.get("CI", "").lower() not in {"", "0", "false"}:
        pytest.fail(f"{reason} (CI is set, so this fails instead of being skipped)", pytrace=False)
    pytest.skip(reason)


def _new_topics(broker: Broker) -> AbstractContextManager[KafkaSettings]:
    from workflow_events.testing.new_topics import new_topics

    return new_topics(broker.bootstrap_servers)
