"""The archive in a folder and in a bucket: what is put is there whole, and what is wrong is said with what to do."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from uuid import uuid4

import pytest

from result_store.archive import Archive
from result_store.archive_keys import ArchiveObject
from result_store.errors import ArchiveError
from result_store.settings import StoreSettings
from tests.integration.store.conftest import Backend
from tests.integration.store.processing import PATIENCE, archived
from tests.integration.worker.observing import eventually
from workflow_events.testing.processes import free_port


def some(count: int, body: bytes = b"{}") -> list[ArchiveObject]:
    digest = hashlib.sha256(body).hexdigest()
    return [ArchiveObject(f"steps/2026/11/22/{number}.json", uuid4(), "0", body, digest) for number in range(count)]


async def test_what_is_put_is_there_and_what_is_put_again_is_overwritten(backend: Backend) -> None:
    # Given an archive that answers
    archive = Archive(backend.settings)
    await archive.ping()
    # When objects are put, some of them a second time
    await archive.put([])
    await archive.put(some(70, b'{"a": 1}'))
    await archive.put(some(3, b'{"b": 2}'))
    # Then the later body counts
    assert await archive.get("steps/2026/11/22/2.json") == b'{"b": 2}'
    assert await archive.get("steps/2026/11/22/3.json") == b'{"a": 1}'
    assert len(archived(backend.settings)) == 70
    # And what nobody has put is said to be missing, which no second try will mend
    with pytest.raises(ArchiveError, match="nothing at 'requests/none") as missing:
        await archive.get("requests/none.json")
    assert not missing.value.retryable
    await archive.ping(write=True)
    assert archived(backend.settings)["probe"] == b"{}"


@pytest.mark.parametrize("backend", ["real"], indirect=True)
async def test_a_bucket_that_is_not_there_and_one_that_cannot_be_reached_are_told_apart(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = Archive(backend.with_settings(archive="s3://no-such-bucket-of-ours/prefix"))
    for act in (nowhere.ping(), nowhere.get("a.json"), nowhere.put(some(1))):
        with pytest.raises(ArchiveError, match=r"Make the bucket.*RESULT_STORE_ARCHIVE") as refused:
            await act
        assert not refused.value.retryable
    monkeypatch.setenv("AWS_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    with pytest.raises(ArchiveError, match="can be reached") as silent:
        await Archive(backend.settings).ping()
    assert silent.value.retryable
    assert "hunter2" not in str(silent.value)


async def test_a_folder_that_cannot_be_written_is_an_error_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    # Given a folder in which a file lies where a folder has to be
    settings = StoreSettings(archive=str(tmp_path / "archive"))
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "steps").write_text("in the way")
    # When something is put there
    with pytest.raises(ArchiveError, match="Cannot put"):
        await Archive(settings).put(some(1))
    # Then nothing else is there, and an archive below a file cannot even be opened
    assert [found.name for found in (tmp_path / "archive").rglob("*")] == ["steps"]
    with pytest.raises(ArchiveError, match="Cannot open"):
        await Archive(StoreSettings(archive=str(tmp_path / "archive" / "steps" / "below"))).ping()


async def test_nothing_is_put_to_a_folder_once_the_caller_is_cancelled(tmp_path: Path) -> None:
    # Given many objects that are being put
    settings = StoreSettings(archive=str(tmp_path / "archive"))
    putting = asyncio.ensure_future(Archive(settings).put(some(20_000)))
    await eventually((tmp_path / "archive" / "steps").exists, PATIENCE)
    # When the caller is cancelled
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    # Then the rest is not put, now or later
    there = len(list((tmp_path / "archive").rglob("*.json")))
    assert there < 20_000
    await asyncio.to_thread(lambda: None)  # the thread that put them is free again
    assert len(list((tmp_path / "archive").rglob("*.json"))) == there
