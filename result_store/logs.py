"""What the log lines of the store's commands and processes look like."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Final

from result_store.api.exchange import CorrelationFilter
from workflow_events.logs import configure_logging

if TYPE_CHECKING:
    from result_store.settings import StoreSettings

__all__ = ["configure"]

_TALKATIVE: Final = ("alembic", "kafka", "uvicorn")
"""Their INFO tells what they are made of, step by step; what matters of that, the command says itself."""


def configure(settings: StoreSettings, *, quiet: bool = False) -> None:
    """Log as the settings say; at a terminal for people, where they do not say.

    Args:
        quiet: log errors alone, for commands whose output is for people.
    """
    at_a_terminal = "log_format" not in settings.model_fields_set and sys.stderr.isatty()
    configure_logging("console" if at_a_terminal else settings.log_format, "critical" if quiet else settings.log_level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.getLogger().level, logging.WARNING))
    for handler in logging.getLogger().handlers:
        handler.addFilter(CorrelationFilter())
