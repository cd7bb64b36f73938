"""The network that tests can cut, slow down and tear."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from workflow_events.testing.processes import LOOPBACK, free_port
from workflow_events.testing.tcp_proxy import TcpProxy


@pytest.fixture
def echo_port() -> Iterator[int]:
    """Where everything that is sent comes back."""

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(ConnectionResetError):
            while data := connection.recv(1024):
                connection.sendall(data)

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return  # the test is over
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server((LOOPBACK, 0)) as server:
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        accepting.join(10)


@pytest.fixture
def proxy(echo_port: int) -> Iterator[TcpProxy]:
    with TcpProxy(free_port(), echo_port) as proxy:
        yield proxy


def connected(proxy: TcpProxy) -> closing[socket.socket]:
    return closing(socket.create_connection((LOOPBACK, proxy.port), timeout=10))


def test_it_passes_bytes_on_both_ways_and_the_end_of_them(proxy: TcpProxy) -> None:
    with connected(proxy) as connection:
        connection.sendall(b"hello")
        assert connection.recv(1024) == b"hello"
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1024) == b""
    assert proxy.passed == 10


def test_what_is_sent_while_it_is_cut_arrives_in_order_once_it_is_mended(proxy: TcpProxy) -> None:
    with connected(proxy) as connection:
        connection.sendall(b"1")
        assert connection.recv(1) == b"1"
        # When the network is cut
        proxy.cut()
        passed = proxy.passed
        connection.sendall(b"2")
        connection.settimeout(0.2)
        # Then nothing comes, and the connection does not say why
        with pytest.raises(TimeoutError):
            connection.recv(1)
        assert proxy.passed == passed
        # And a new connection gets no answer either
        with connected(proxy) as another:
            another.sendall(b"new")
            connection.sendall(b"3")
            # Until it is mended
            proxy.mend()
            connection.settimeout(10)
            assert connection.recv(1) + connection.recv(1) == b"23"
            assert another.recv(3) == b"new"


def test_a_delay_is_added_each_way(proxy: TcpProxy) -> None:
    with connected(proxy) as connection:
        proxy.delay(0.2)
        began = time.monotonic()
        connection.sendall(b"hello")
        assert connection.recv(1024) == b"hello"
        assert time.monotonic() - began >= 0.4


def test_torn_connections_end_and_new_ones_are_taken(proxy: TcpProxy) -> None:
    with connected(proxy) as connection:
        connection.sendall(b"hello")
        assert connection.recv(1024) == b"hello"
        proxy.tear()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with connected(proxy) as connection:
        connection.sendall(b"again")
        assert connection.recv(1024) == b"again"


def test_a_connection_to_nobody_is_closed() -> None:
    reset_is_as_good = contextlib.suppress(ConnectionResetError)
    with TcpProxy(free_port(), free_port()) as proxy, connected(proxy) as connection, reset_is_as_good:
        assert connection.recv(1) == b""
