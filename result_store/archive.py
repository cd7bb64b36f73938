"""The archive: whole messages, each an object of its own in a folder or a bucket, through obstore.

Which message lies at which key, and which of two counts, is decided in :mod:`result_store.archive_keys` and by the database;
this is the way there and back. A bucket's credentials and endpoint come from the environment, as its tools have them.

An object is there whole or not at all: a bucket takes it in one request (or completes its parts in one), a folder has it under
another name until it is written, and then renames it. To put one again overwrites it with itself.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, from_url

from result_store.errors import ArchiveError
from result_store.settings import variable

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    from result_store.archive_keys import ArchiveObject
    from result_store.settings import StoreSettings

__all__ = ["Archive"]

_AT_ONCE: Final = 32
"""Objects that are put to a bucket at a time."""
_TIMEOUT: Final = timedelta(seconds=30)
_CONNECT_TIMEOUT: Final = timedelta(seconds=10)
_RETRIES: Final = 3
_LONGEST_REASON: Final = 300
_PROBE: Final = "probe"
_VARIABLE: Final = variable("archive")
_RIGHTS: Final = {"put": "to write (s3:PutObject)", "get": "to read (s3:GetObject and s3:ListBucket)"}


class Archive:
    """Keeps whole messages where the settings say. The store is opened when it is first needed.

    Args:
        settings: their ``archive`` names the place.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self._place = settings.archive
        self._opened: ObjectStore | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._place!r})"

    async def put(self, objects: Sequence[ArchiveObject]) -> None:
        """Keep some objects; each overwrites what lies at its key. When it raises, some of them may be there.

        Raises:
            ArchiveError: one of them could not be put.
        """
        if not objects:
            return
        store = await self._store()
        if isinstance(store, LocalStore):
            await self._put_in_thread(store, objects)
        else:
            await self._put_side_by_side(store, objects)

    async def _put_in_thread(self, store: LocalStore, objects: Sequence[ArchiveObject]) -> None:
        """Put to a folder, where a task for each would cost several times what the file does."""
        over = threading.Event()

        def put_all() -> None:
            for one in objects:
                if over.is_set():
                    return
                with _errors("put", self._place, one.key):
                    obstore.put(store, one.key, one.body)

        putting = asyncio.ensure_future(asyncio.to_thread(put_all))
        try:
            await asyncio.shield(putting)
        except asyncio.CancelledError:
            # Whoever cancels may have another put what is newer at the same keys: nothing may come after this.
            over.set()
            await asyncio.wait([putting])
            raise

    async def _put_side_by_side(self, store: ObjectStore, objects: Sequence[ArchiveObject]) -> None:
        waiting = iter(objects)

        async def put_some() -> None:
            for one in waiting:
                await _put(store, self._place, one.key, one.body)

        lanes = [asyncio.ensure_future(put_some()) for _ in range(min(_AT_ONCE, len(objects)))]
        try:
            await asyncio.gather(*lanes)
        except BaseException:
            for lane in lanes:
                lane.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)
            raise

    async def get(self, key: str) -> bytes:
        """What lies at a key.

        Raises:
            ArchiveError: nothing lies there, or it cannot be had.
        """
        store = await self._store()
        with _errors("get", self._place, key):
            found = await obstore.get_async(store, key)
            return bytes(await found.bytes_async())

    async def ping(self, *, write: bool = False) -> None:
        """Ask whether the archive is there.

        Args:
            write: whether to put a small object at ``probe`` too, which shows that objects can be put.

        Raises:
            ArchiveError: it is not, or does not let us.
        """
        store = await self._store()
        if write:
            await _put(store, self._place, _PROBE, b"{}")
        with _errors("get", self._place, _PROBE):
            try:
                # Not by a HEAD, whose answer does not say whether it is the object that is missing or the bucket.
                await obstore.get_async(store, _PROBE)
            except FileNotFoundError as error:
                if _names_bucket(error):
                    raise

    async def _store(self) -> ObjectStore:
        if self._opened is None:
            self._opened = await asyncio.to_thread(_open, self._place)
        return self._opened


async def _put(store: ObjectStore, place: str, key: str, body: bytes) -> None:
    with _errors("put", place, key):
        await obstore.put_async(store, key, body)


def _open(place: str) -> ObjectStore:
    scheme, separator, path = place.partition("://")
    with _errors("open", place, ""):
        if not separator or scheme == "file":
            folder = Path(path if separator else place).expanduser().absolute()
            return LocalStore(prefix=folder, mkdir=True)
        options: dict[str, Any] = {
            "client_options": {
                "timeout": _TIMEOUT,
                "connect_timeout": _CONNECT_TIMEOUT,
                "user_agent": "workflow-events",
                # Options that are given replace all of the environment's, and this one is how a test's server is reached.
                "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() in {"1", "true"},
            },
            "retry_config": {"max_retries": _RETRIES, "retry_timeout": _TIMEOUT},
        }
        return from_url(place, **options)


@contextmanager
def _errors(action: str, place: str, key: str) -> Iterator[None]:
    """Turns what obstore raises inside the block into our error."""
    what = f"{action} {key!r} in" if key else action
    where = f"the archive {place!r} ({_VARIABLE})"
    try:
        yield
    except ArchiveError:
        raise
    except FileNotFoundError as error:
        if action == "get" and not _names_bucket(error):
            raise ArchiveError(
                f"There is nothing at {key!r} in {where}: it was deleted there, or {_VARIABLE} named another place when it was "
                "kept."
            ) from error
        raise ArchiveError(
            f"Cannot {what} {where}: there is no such place. Make the bucket or the folder, or set {_VARIABLE} to one that "
            "is there."
        ) from error
    except (PermissionDeniedError, UnauthenticatedError, PermissionError) as error:
        right = _RIGHTS.get(action, "to write and to read")
        raise ArchiveError(
            f"Cannot {what} {where}: this process may not. Grant it the right {right} there, and check the credentials in "
            f"the environment. {_reason(error)}."
        ) from error
    except (BaseError, OSError) as error:
        raise ArchiveError(
            f"Cannot {what} {where}: {_reason(error)}. Check that it can be reached from here, and that {_VARIABLE} names it.",
            retryable=action != "open",
        ) from error
    except ValueError as error:
        raise ArchiveError(f"Cannot {what} {where}: {_reason(error)}. Set {_VARIABLE} to a folder or a URL.") from error


def _names_bucket(error: BaseException) -> bool:
    """Whether it is the bucket that is missing, and not an object in it."""
    return "NoSuchBucket" in str(error)


def _reason(error: BaseException) -> str:
    """The first paragraph of what obstore says; the others are for those who debug it."""
    text = " ".join(str(error).split("\n\n")[0].split()).rstrip(".")
    return text[:_LONGEST_REASON] or type(error).__name__
