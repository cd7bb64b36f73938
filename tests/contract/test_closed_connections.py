"""A client of kafka-python's that is closed leaves no socket open."""

from __future__ import annotations

from kafka.protocol.metadata import MetadataRequest

from workflow_events.settings import KafkaSettings
from workflow_events.transport import blocking
from workflow_events.transport.dialling import finish


def test_a_client_that_is_closed_while_a_socket_takes_nothing_closes_it(embedded_settings: KafkaSettings) -> None:
    # Given a connection with something to be sent, which waits for the broker to take more
    admin = blocking.new_admin(embedded_settings)
    manager = admin._client._manager
    (node,) = (broker.node_id for broker in manager.cluster.brokers())
    finish(manager.call_soon(manager.send, MetadataRequest(topics=[]), node), 10)
    transport = manager._conns[node].transport
    transport._writing = True
    transport._write_buffer.append(b"more")
    # When the client is closed
    admin.close()
    # Then so is the connection
    assert transport._sock is None or transport._sock.fileno() == -1
