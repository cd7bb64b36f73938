"""A guarded Apache Kafka for tests: TLS, SASL by PLAIN and SCRAM, and rights that are given one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    UserScramCredentialUpsertion,
)

from tests.certificates import CertificateAuthority
from workflow_events import KafkaSettings
from workflow_events.testing.apache_kafka import ApacheKafka
from workflow_events.testing.waiting import wait_until
from workflow_events.transport import blocking


@dataclass(frozen=True)
class Right:
    """What a user may do: an operation on a topic, a consumer group, the cluster, or the transactional ids with a prefix."""

    operation: str
    resource: str
    name: str

    def __str__(self) -> str:
        return f"{self.operation} on {self.resource} {self.name}"


@contextmanager
def guarded_kafka(
    authority: CertificateAuthority,
    folder: Path,
    *,
    admin_secret: str,
    users: dict[str, str] | None = None,
    scram: bool = True,
) -> Iterator[ApacheKafka]:
    """A Kafka that takes SASL over TLS only, and gives rights to ``admin`` alone.

    Args:
        authority: signs its certificate.
        folder: for its key store.
        admin_secret: password of ``admin``, by PLAIN.
        users: passwords of others who are known by PLAIN.
        scram: whether users may also be known by SCRAM.
    """
    broker = authority.certificate("broker")
    key_store = folder / "broker.pem"
    key_store.write_bytes(broker.keyfile.read_bytes() + broker.certfile.read_bytes())
    known = " ".join(f'user_{name}="{secret}"' for name, secret in {"admin": admin_secret, **(users or {})}.items())
    login = "org.apache.kafka.common.security"
    properties = {
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:SASL_SSL",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512" if scram else "PLAIN",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "listener.name.plaintext.plain.sasl.jaas.config": (
            f'{login}.plain.PlainLoginModule required username="admin" password="{admin_secret}" {known};'
        ),
        "listener.name.plaintext.scram-sha-256.sasl.jaas.config": f"{login}.scram.ScramLoginModule required;",
        "listener.name.plaintext.scram-sha-512.sasl.jaas.config": f"{login}.scram.ScramLoginModule required;",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(key_store),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.cafile),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:admin;User:ANONYMOUS",
        # The clients must not make topics by asking for them, even where the broker would let them.
        "auto.create.topics.enable": "true",
    }
    with ApacheKafka(properties=properties) as kafka:
        yield kafka


def admit(
    admin: KafkaSettings, name: str, secret: str, rights: Iterable[Right], mechanism: str = "SCRAM-SHA-512"
) -> KafkaSettings:
    """Make a user, known by SCRAM, with these rights and no others; return what it connects with."""
    wanted = list(rights)
    with closing(blocking.new_admin(admin)) as client:
        refused = client.alter_user_scram_credentials([UserScramCredentialUpsertion(name, mechanism, secret)])
        assert refused == {name: None}
        if wanted:
            client.create_acls([_acl(name, right) for right in wanted])
        wait_until(lambda: client.describe_user_scram_credentials([name])[name]["credential_infos"], timeout=20)
        wait_until(lambda: _rights_of(client, name) == len(wanted), timeout=20)
    return admin.replace(sasl_mechanism=mechanism, sasl_username=name, sasl_password=secret)


def grant(admin: KafkaSettings, name: str, rights: Iterable[Right]) -> None:
    """Give somebody rights who is known by other means."""
    wanted = list(rights)
    with closing(blocking.new_admin(admin)) as client:
        client.create_acls([_acl(name, right) for right in wanted])
        wait_until(lambda: _rights_of(client, name) == len(wanted), timeout=20)


def _rights_of(client: Any, name: str) -> int:
    """How many the broker knows, which hears of them from the controller."""
    anything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    theirs = ACLFilter(f"User:{name}", None, ACLOperation.ANY, ACLPermissionType.ANY, anything)
    return len(client.describe_acls(theirs)[0])


def _acl(name: str, right: Right) -> ACL:
    prefixed = right.resource == "transactional_id"
    pattern = ACLResourcePatternType.PREFIXED if prefixed else ACLResourcePatternType.LITERAL
    resource = ResourcePattern(ResourceType[right.resource.upper()], right.name, pattern)
    return ACL(f"User:{name}", "*", ACLOperation[right.operation], ACLPermissionType.ALLOW, resource)
