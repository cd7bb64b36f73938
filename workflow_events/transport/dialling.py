"""How kafka-python's clients dial: with a deadline for every step, a reason when it fails, and no socket left behind.

kafka-python 3.0 lets a TLS handshake wait for ever, leaves the sockets of failed attempts to the garbage collector, and at
the end of its time-out raises an error that names none of the reasons it has logged.
"""

from __future__ import annotations

import ssl
import threading
from typing import TYPE_CHECKING, Any

from kafka.errors import KafkaConnectionError, KafkaTimeoutError
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import KafkaNetSocket, create_connection
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.net.transport import KafkaSSLTransport
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


class _Manager(KafkaConnectionManager):  # type: ignore[misc]  # kafka-python has no types
    fault: BaseException | None = None

    async def _connect(self, node: Any, conn: Any, *args: Any, **kwargs: Any) -> None:
        await super()._connect(node, conn, *args, **kwargs)
        if conn.init_future.failed():
            self.fault = conn.init_future.exception

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        if not self.ssl_enabled:
            return await super()._build_transport(node, timeout_at=timeout_at)
        plain = await create_connection(
            self._net,
            node.host,
            node.port,
            self.config["socket_options"],
            proxy_url=self.config["proxy_url"],
            timeout_at=timeout_at,
        )
        try:
            transport = KafkaSSLTransport(self._net, plain, host=node.host, ssl_context=self.config["ssl_context"])
        except BaseException:
            plain.close()
            raise
        try:
            await self._shake_hands(transport._sock, timeout_at)  # noqa: SLF001
        except Exception as error:
            transport._sock.close()  # noqa: SLF001
            raise KafkaConnectionError(f"TLS handshake failed: {error}") from error
        return transport

    async def _shake_hands(self, sock: ssl.SSLSocket, timeout_at: float | None) -> None:
        while True:
            try:
                sock.do_handshake()
            except ssl.SSLWantReadError:
                await self._net.wait_read(sock, timeout_at)
            except ssl.SSLWantWriteError:
                await self._net.wait_write(sock, timeout_at)
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
