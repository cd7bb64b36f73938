"""What holds for all tests: a developer's environment does not steer them, and nothing fails unseen in an event loop."""

from __future__ import annotations

import asyncio.constants
import linecache
import logging
import os
import signal
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ["pytester"]

_DEBUG_STACK_DEPTH = 5


def pytest_configure() -> None:
    """Pay less for asyncio's debug mode, which all tests run in: it notes where each future, task and callback was made.

    That was most of what their event loops did, for whole stacks were taken, and the disk was asked at each frame whether its
    file is still the same. No file of ours changes while tests run, and of a stack the innermost frames tell.
    """
    asyncio.constants.DEBUG_STACK_DEPTH = _DEBUG_STACK_DEPTH  # type: ignore[misc]  # Final is what typeshed calls it
    traceback.extract_stack.__defaults__ = (None, _DEBUG_STACK_DEPTH)  # futures made in C call it without a limit
    linecache.checkcache = _trust_what_was_read


def _trust_what_was_read(filename: str | None = None) -> None:
    """Leave the cache of source lines as it is."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Have tests that share what is dear to start run in one process, and all others wherever there is room."""
    from xdist.scheduler import LoadScopeScheduling

    class ByWhatIsShared(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist is untyped in part
        def _split_scope(self, nodeid: str) -> str:
            file, _, name = nodeid.partition("::")
            if file.startswith("tests/system/"):
                for database in ("sqlite", "postgresql"):
                    if f"[{database}" in name:
                        return f"Airflow on {database}"
            return file if file in _SHARING else nodeid

    return ByWhatIsShared(config, log)


_SHARING = frozenset(
    {
        "tests/contract/test_access.py",
        "tests/integration/store/page/test_page_in_chromium.py",
        "tests/system/testing_package/test_airflow_stack.py",
    }
)
"""Files with a broker, an Airflow, or a store and a browser of their own."""


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
