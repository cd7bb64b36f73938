"""What holds for all tests: a developer's environment does not steer them, and nothing fails unseen in an event loop."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True, scope="session")
def _interrupts_arrive() -> None:
    """Have SIGINT do what it does at a desk; a shell starts its background jobs, and all below them, deaf to it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away ``KAFKA_...``; the brokers of the session have read theirs by then."""
    for name in [name for name in os.environ if name.startswith("KAFKA_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _errors_of_the_event_loop_fail() -> Iterator[None]:
    """Fail the test where asyncio logs an error: an exception that nobody retrieved, a callback that raised."""
    seen: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(self.format(record))

    handler = Collect(logging.ERROR)
    logger = logging.getLogger("asyncio")
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)
    if seen:
        pytest.fail("asyncio logged errors:\n" + "\n".join(seen))
