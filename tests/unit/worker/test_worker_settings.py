"""The worker's options, and what is said of those that do not hold."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from langgraph_integration import WorkerSettings, WorkflowWorker
from langgraph_integration.checkpointers import check_url, open_checkpointer
from workflow_events import ConfigurationError, KafkaSettings

SECRET = "hunter2"


def test_options_come_from_the_environment_and_arguments_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKFLOW_WORKER_CONCURRENCY", "3")
    monkeypatch.setenv("WORKFLOW_WORKER_GROUP_ID", "from-environment")
    settings = WorkerSettings(group_id="given")
    assert (settings.concurrency, settings.group_id) == (3, "given")


@pytest.mark.parametrize(
    "values, message",
    [
        ({"concurrency": 0}, r"WORKFLOW_WORKER_CONCURRENCY \(concurrency\)"),
        ({"concurrencies": 1}, "no setting 'concurrencies'"),
        ({"checkpointer": f"mysql://u:{SECRET}@h/d"}, "begins with 'mysql'"),
        ({"checkpointer": SECRET}, "WORKFLOW_WORKER_CHECKPOINTER must be none"),
    ],
)
def test_what_does_not_hold_is_named_without_secrets(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        WorkerSettings(**values)
    assert SECRET not in str(caught.value)


def test_the_checkpointers_password_is_not_shown() -> None:
    settings = WorkerSettings(checkpointer=f"postgresql://u:{SECRET}@h/d")
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings.model_dump())


@pytest.mark.parametrize(
    "url, kind",
    [
        ("none", "none"),
        ("", "none"),
        ("sqlite:///a.db", "sqlite"),
        ("sqlite:////a/b.db", "sqlite"),
        ("postgresql://h/d", "postgresql"),
        ("postgres://h/d", "postgresql"),
    ],
)
def test_which_checkpointer_a_url_means(url: str, kind: str) -> None:
    assert check_url(url) == kind


async def test_sqlite_keeps_checkpoints_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "check points.db"
    async with open_checkpointer(f"sqlite:///{path}") as saver:
        assert saver is not None
        assert await saver.aget_tuple({"configurable": {"thread_id": "t"}}) is None
    assert path.stat().st_size > 0


async def test_a_database_that_cannot_be_opened_is_named_and_nothing_goes_on_with_it(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    for _ in range(20):
        with pytest.raises(ConfigurationError, match=r"no/folder\.db.* cannot be opened"):
            async with open_checkpointer(f"sqlite:///{tmp_path}/no/folder.db"):
                pass
        assert not [one for one in set(threading.enumerate()) - before if "connection_worker" in one.name]


async def test_a_server_that_cannot_be_reached_is_named_without_the_password() -> None:
    with pytest.raises(ConfigurationError, match=r"127\.0\.0\.1:1/d cannot be reached") as caught:
        async with open_checkpointer(f"postgresql://u:{SECRET}@127.0.0.1:1/d", connect_timeout=0.5):
            pass
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_worker_without_graphs_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least one graph"):
        WorkflowWorker(KafkaSettings(), {})


def test_a_workers_arguments_are_its_attributes() -> None:
    settings, options = KafkaSettings(), WorkerSettings(concurrency=2)
    worker = WorkflowWorker(settings, {"a": 1}, worker_settings=options)
    assert (worker.settings, worker.graphs, worker.worker_settings) == (settings, {"a": 1}, options)
