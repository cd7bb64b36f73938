"""Keeps passwords out of the clients' DEBUG logs.

Both clients log every request they send, and among those the one that carries the SASL credentials; kafka-python also logs
the bytes of each.
"""

from __future__ import annotations

import logging
from typing import Final

__all__ = ["Redacted", "keep_credentials_out_of_logs"]

_LOGGERS: Final = ("aiokafka.conn", "kafka.net.connection", "kafka.protocol.parser")
_RAW_BYTES: Final = "Send: %r"


class Redacted(str):
    """A password which prints as stars: kafka-python logs its clients' arguments."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'**********'"


def keep_credentials_out_of_logs() -> None:
    """Drops the log records that would show SASL credentials. It may be called any number of times."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_shows_no_credentials)  # a filter that is there already is not added again


def _shows_no_credentials(record: logging.LogRecord) -> bool:
    if str(record.msg).endswith(_RAW_BYTES):
        return False
    arguments = record.args if isinstance(record.args, tuple) else ()
    return not any(type(argument).__name__.startswith("Sasl") for argument in arguments)
