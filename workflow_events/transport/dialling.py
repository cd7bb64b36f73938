"""How kafka-python's clients dial: with a deadline for every step, a reason when it fails, and no socket left behind.

kafka-python 3.0 lets a TLS handshake wait for ever, leaves the sockets of failed attempts to the garbage collector, drops
what a broker says just before it hangs up (such as that the password is wrong), and at the end of its time-out raises an
error that names none of the reasons it has logged.
"""

from __future__ import annotations

import ssl
import threading
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from kafka.errors import (
    KafkaConnectionError,
    KafkaTimeoutError,
    RequestTimedOutError,
    UnsupportedSaslMechanismError,
)
from kafka.net.compat import KafkaNetClient
from kafka.net.connection import KafkaConnection
from kafka.net.inet import KafkaNetSocket, create_connection
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport
from kafka.protocol.metadata import MetadataRequest

if TYPE_CHECKING:
    from kafka.future import Future

__all__ = ["Connection", "finish"]

_SCHEME = "workflow-events-direct"


class Connection(KafkaNetClient):  # type: ignore[misc]  # kafka-python has no types
    """The network side of one kafka-python client; its clients take it as ``kafka_client``.

    It does not make topics by asking for them either, an option that kafka-python's clients have and do not pass on.
    """

    def __init__(self, **configs: Any) -> None:
        configs["proxy_url"] = f"{_SCHEME}://"
        net = NetworkSelector(**configs)
        super().__init__(net=net, manager=_Manager(net, **configs), **configs)
        self.cluster.config["allow_auto_create_topics"] = False

    @property
    def fault(self) -> BaseException | None:
        """Why the last attempt to connect failed."""
        fault: BaseException | None = self._manager.fault
        return fault

    @property
    def outage(self) -> BaseException | None:
        """Why no broker is connected; None while one is, and until an attempt has failed."""
        return None if any(self.connected(broker.node_id) for broker in self.cluster.brokers()) else self.fault

    def close(self, node_id: int | str | None = None) -> None:
        """As kafka-python's, which leaves a socket open that takes nothing more of what is to be written."""
        super().close(node_id)
        if node_id is None:
            self._manager.drop_transports()

    def topic_error(self, topic: str, timeout: float) -> int:
        """What the cluster says of a topic: an error code of the protocol, nought if it is there.

        Raises:
            KafkaError: no broker answered within ``timeout`` seconds.
        """
        request = MetadataRequest(
            topics=[MetadataRequest.MetadataRequestTopic(name=topic)], allow_auto_topic_creation=False
        )
        response = finish(self._manager.call_soon(self._manager.send, request), timeout)
        return next((found.error_code for found in response.topics if found.name == topic), 0)


def finish(future: Future, timeout: float) -> Any:
    """Waits for a future of kafka-python's, which has no wait of its own."""
    done = threading.Event()
    future.add_both(lambda _: done.set())
    if not done.wait(timeout):
        raise KafkaTimeoutError(f"no answer within {timeout:.3g} s")
    if future.exception is not None:
        raise future.exception
    return future.value


def _cut_off(error: BaseException) -> bool:
    """Whether an attempt was ended by its time-out, as the last one usually is, which explains nothing."""
    return any(isinstance(end, KafkaTimeoutError | RequestTimedOutError) for end in (error, error.__cause__))


class _Manager(KafkaConnectionManager):  # type: ignore[misc]  # kafka-python has no types
    fault: BaseException | None = None

    def __init__(self, *args: Any, **configs: Any) -> None:
        self._transports: WeakSet[_Tcp | _Tls] = WeakSet()
        super().__init__(*args, **configs)

    def drop_transports(self) -> None:
        """Close the sockets that are still open, once nothing runs any more that would."""
        for transport in tuple(self._transports):
            transport.drop()

    async def _connect(self, node: Any, conn: Any, *args: Any, **kwargs: Any) -> None:
        conn.send_buffered = partial(_send_buffered, conn)
        await super()._connect(node, conn, *args, **kwargs)
        if not conn.init_future.failed():
            return
        error = conn.init_future.exception
        if self.fault is None or not _cut_off(error):
            self.fault = error
        if isinstance(error, UnsupportedSaslMechanismError):
            self._auth_failures[node.node_id] = error  # like a wrong password: another try would end the same

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        sock = await create_connection(
            self._net,
            node.host,
            node.port,
            self.config["socket_options"],
            proxy_url=self.config["proxy_url"],
            timeout_at=timeout_at,
        )
        if not self.ssl_enabled:
            plain = _Tcp(self._net, sock, host=node.host)
            self._transports.add(plain)
            return plain
        try:
            transport = _Tls(self._net, sock, host=node.host, ssl_context=self.config["ssl_context"])
        except BaseException:
            sock.close()
            raise
        self._transports.add(transport)
        try:
            await transport.shake_hands(timeout_at)
        except Exception as error:
            transport.drop()
            raise KafkaConnectionError(f"TLS handshake failed: {error}") from error
        return transport


def _send_buffered(conn: KafkaConnection) -> None:
    """Sends what was asked for while the connection was being made, or was let in anew.

    kafka-python writes as many of these as may be under way at once, five, and counts all. Where the others are five or
    more, no answer brings the count down far enough for them to be written: the connection waits for them until it is torn.
    """
    KafkaConnection.send_buffered(conn)
    if conn.transport is not None and (unsent := conn.parser.send_bytes()):
        conn.transport.write(unsent)


class _LastWords:
    """What a broker says before it hangs up is read: kafka-python drops what arrives together with the end."""

    _sock: Any  # a socket, and None once kafka-python has closed it

    def drop(self) -> None:
        """Close the socket, and tell nobody."""
        if self._sock is not None:
            self._sock.close()

    def _sock_recv(self) -> tuple[bytes, BaseException | None]:
        data, error = super()._sock_recv()  # type: ignore[misc]  # mixed into kafka-python's transports
        return (data, None) if data else (data, error)  # the end is still there for the next read


class _Tcp(_LastWords, KafkaTCPTransport):  # type: ignore[misc]  # kafka-python has no types
    pass


class _Tls(_LastWords, KafkaSSLTransport):  # type: ignore[misc]  # kafka-python has no types
    async def shake_hands(self, timeout_at: float | None) -> None:
        """As ``handshake()``, which would wait for ever."""
        while True:
            try:
                self._sock.do_handshake()
            except ssl.SSLWantReadError:
                await self._net.wait_read(self._sock, timeout_at)
            except ssl.SSLWantWriteError:
                await self._net.wait_write(self._sock, timeout_at)
            else:
                return


class _Dialler(KafkaNetSocket):  # type: ignore[misc]  # kafka-python has no types
    """kafka-python's place for proxies, used to close the socket of an attempt that failed."""

    SCHEMES = (_SCHEME,)

    async def sock_connect(self, net: Any, sock: Any, sockaddr: Any, timeout_at: float | None = None) -> Any:
        try:
            return await super().sock_connect(net, sock, sockaddr, timeout_at=timeout_at)
        except BaseException:
            sock.close()
            raise
