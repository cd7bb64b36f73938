"""The loop that the store serves in."""

from __future__ import annotations

import asyncio
import sys

import pytest

from result_store.event_loop import run_serving


async def _module_of_loop() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_it_is_uvloops_where_that_is_installed() -> None:
    pytest.importorskip("uvloop")
    assert run_serving(_module_of_loop()).startswith("uvloop")


def test_it_is_asyncios_where_there_is_no_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run_serving(_module_of_loop()).startswith("asyncio")
