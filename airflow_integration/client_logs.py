"""Keeps the Kafka clients' housekeeping out of task logs."""

from __future__ import annotations

import logging

__all__ = ["quieten"]

_CLIENTS = ("kafka", "aiokafka")


def quieten() -> None:
    """Let the Kafka clients log from WARNING on, in this task's or triggerer's process.

    At Airflow's usual level, INFO, they log every connection, dozens of lines for one request. Who has given them a level,
    as by ``[logging] namespace_levels = kafka=INFO``, keeps it.
    """
    for name in _CLIENTS:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)
