"""No Kafka at the other end: every client says so in words, within ``connect_timeout``."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.certificates import CertificateAuthority
from workflow_events.errors import BrokerUnavailableError
from workflow_events.settings import KafkaSettings
from workflow_events.transport import aio, blocking

CONNECT_TIMEOUT = 0.5
Connect = Callable[[KafkaSettings], object]

CLIENTS: list[Any] = [
    pytest.param(blocking.new_producer, id="blocking-producer"),
    pytest.param(blocking.new_consumer, id="blocking-consumer"),
    pytest.param(blocking.new_admin, id="blocking-admin"),
    pytest.param(lambda settings: asyncio.run(aio.start_producer(settings)), id="aio-producer"),
    pytest.param(lambda settings: asyncio.run(aio.start_consumer(settings)), id="aio-consumer"),
    pytest.param(lambda settings: asyncio.run(aio.start_consumer(settings, "t", group_id="g")), id="aio-group-member"),
]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server which accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextlib.contextmanager
def tls_server(authority: CertificateAuthority, handshakes: int | None = None) -> Iterator[int]:
    """A server which speaks TLS, with a certificate that few trust, so many times; then it accepts and says nothing."""
    broker = authority.certificate("broker")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(broker.certfile, broker.keyfile)
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.ExitStack() as kept:
            for served in itertools.count():
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                if handshakes is not None and served >= handshakes:
                    kept.enter_context(connection)
                    continue
                with contextlib.suppress(OSError), connection:
                    context.wrap_socket(connection, server_side=True).close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


@pytest.fixture
def tls_port(authority: CertificateAuthority) -> Iterator[int]:
    with tls_server(authority) as port:
        yield port


@pytest.mark.parametrize("connect", CLIENTS)
def test_a_port_where_nobody_listens(connect: Connect, closed_port: int) -> None:
    settings = KafkaSettings(bootstrap_servers=f"127.0.0.1:{closed_port}", connect_timeout=CONNECT_TIMEOUT)

    message = _refused(connect, settings)

    assert f"127.0.0.1:{closed_port}" in message
    assert "REFUSED" in message.upper() or "Connect call failed" in message
    assert "KAFKA_BOOTSTRAP_SERVERS" in message


@pytest.mark.parametrize("connect", CLIENTS)
def test_a_port_where_nobody_answers(connect: Connect, silent_port: int) -> None:
    settings = KafkaSettings(bootstrap_servers=f"127.0.0.1:{silent_port}", connect_timeout=CONNECT_TIMEOUT)

    message = _refused(connect, settings)

    assert "KAFKA_BOOTSTRAP_SERVERS" in message


@pytest.mark.parametrize("connect", CLIENTS)
def test_a_port_where_nobody_answers_tls(connect: Connect, silent_port: int) -> None:
    settings = KafkaSettings(
        bootstrap_servers=f"127.0.0.1:{silent_port}", security_protocol="SSL", connect_timeout=CONNECT_TIMEOUT
    )

    message = _refused(connect, settings)

    assert "KAFKA_BOOTSTRAP_SERVERS" in message


@pytest.mark.parametrize("connect", CLIENTS)
def test_a_certificate_of_an_unknown_authority(
    connect: Connect, tls_port: int, other_authority: CertificateAuthority
) -> None:
    settings = KafkaSettings(
        bootstrap_servers=f"127.0.0.1:{tls_port}",
        security_protocol="SSL",
        ssl_cafile=str(other_authority.cafile),
        connect_timeout=CONNECT_TIMEOUT,
    )

    message = _refused(connect, settings)

    assert "CERTIFICATE_VERIFY_FAILED" in message
    assert "KAFKA_SSL_CAFILE" in message


@pytest.mark.parametrize("connect", CLIENTS)
def test_the_reason_of_the_first_attempts_is_told_when_the_last_one_is_cut_off(
    connect: Connect, authority: CertificateAuthority, other_authority: CertificateAuthority
) -> None:
    with tls_server(authority, handshakes=2) as port:
        settings = KafkaSettings(
            bootstrap_servers=f"127.0.0.1:{port}",
            security_protocol="SSL",
            ssl_cafile=str(other_authority.cafile),
            connect_timeout=2,
        )

        message = _refused(connect, settings)

    assert "CERTIFICATE_VERIFY_FAILED" in message


@pytest.mark.parametrize("connect", CLIENTS)
def test_a_client_that_could_not_connect_leaves_nothing_running(connect: Connect, closed_port: int) -> None:
    before = set(threading.enumerate())

    _refused(connect, KafkaSettings(bootstrap_servers=f"127.0.0.1:{closed_port}", connect_timeout=0.3))

    assert not {thread.name for thread in set(threading.enumerate()) - before if thread.is_alive()}


def _refused(connect: Connect, settings: KafkaSettings) -> str:
    begun = time.monotonic()
    with pytest.raises(BrokerUnavailableError) as caught:
        connect(settings)
    # The clients' own patience is half a minute or more; a busy machine is slow, and not as slow as that.
    assert time.monotonic() - begun < settings.connect_timeout + 10
    gc.collect()  # a socket that was left open would warn here, and warnings are errors
    return str(caught.value)
