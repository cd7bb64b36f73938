"""The store of large payloads, through obstore: a folder, or a bucket.

What is put where, and whether what comes back is it, is decided in :mod:`workflow_events.claim_check`; this is the way there and
back, for threads and for event loops. obstore is imported, and the store opened, when a payload is first large enough.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from workflow_events.claim_check import Claim, Deposit, as_error, check_in, claim_of, redeemed
from workflow_events.errors import (
    AccessDeniedError,
    ClaimCheckError,
    ConfigurationError,
    ObjectStoreError,
    WorkflowEventsError,
)
from workflow_events.events import WorkflowEvent, WorkflowResultEvent

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    from workflow_events.settings import KafkaSettings
    from workflow_events.wire import OutgoingMessage

__all__ = ["Payloads"]

_Event = TypeVar("_Event", bound=WorkflowEvent | WorkflowResultEvent)

_RETRIES = 3
_AT_ONCE = 8
"""Payloads that are fetched at a time; each may be large, and all are in memory in the end."""
_LONGEST_REASON = 300
_PROBE = "probe"
"""An object that need not be there."""


class Payloads:
    """Puts large payloads into the settings' store and takes them from there. Connects when first needed.

    Args:
        settings: name the store, the threshold and the limits.
        now: the clock that expiry is read by.
    """

    def __init__(self, settings: KafkaSettings, *, now: Callable[[], datetime] = lambda: datetime.now(tz=UTC)) -> None:
        self._settings = settings
        self._now = now
        self._lock = threading.Lock()
        self._opened: ObjectStore | None = None

    def put(self, message: OutgoingMessage) -> OutgoingMessage:
        """The message to publish: the same, or where it is too large one that refers to what is in the store now.

        Raises:
            MessageTooLargeError: it is larger than the store takes.
            ObjectStoreError: the store does not answer.
            AccessDeniedError: the store does not let us write.
            ConfigurationError: there is no such bucket, or obstore is not installed.
        """
        deposit = self._deposit(message)
        if deposit is None:
            return message
        store = self._store()
        with self._errors("put", deposit.place):
            _obstore().put(store, deposit.place, deposit.body)
        return deposit.message

    async def aput(self, message: OutgoingMessage) -> OutgoingMessage:
        """As :meth:`put`, in an event loop."""
        deposit = self._deposit(message)
        if deposit is None:
            return message
        store = self._store()
        with self._errors("put", deposit.place):
            async with asyncio.timeout(self._settings.request_timeout):
                await _obstore().put_async(store, deposit.place, deposit.body)
        return deposit.message

    def take(self, event: _Event) -> _Event:
        """The event with its payload, taken from the store where the event refers to it.

        Raises:
            ClaimCheckError: the payload is missing, expired, changed or too large, or no store is set.
            ObjectStoreError: the store does not answer.
            AccessDeniedError: the store does not let us read.
        """
        claim = self._claim(event)
        if claim is None:
            return event
        store = self._store(claim)
        with self._errors("take", claim.place, claim):
            found = _obstore().get(store, claim.place)
            body = self._of_right_size(claim, found).bytes()
        return redeemed(event, claim, bytes(body))

    async def atake(self, event: _Event) -> _Event:
        """As :meth:`take`, in an event loop."""
        claim = self._claim(event)
        if claim is None:
            return event
        store = self._store(claim)
        with self._errors("take", claim.place, claim):
            async with asyncio.timeout(self._settings.request_timeout):
                found = await _obstore().get_async(store, claim.place)
                body = await self._of_right_size(claim, found).bytes_async()
        return redeemed(event, claim, bytes(body))

    def take_each(self, events: Sequence[WorkflowResultEvent | None]) -> list[WorkflowResultEvent | None]:
        """Many results as :meth:`take` gives them; one whose payload cannot be had is an ``error`` result that says so."""
        return [event if event is None else self._take_or_tell(event) for event in events]

    async def atake_each(self, events: Sequence[WorkflowResultEvent | None]) -> list[WorkflowResultEvent | None]:
        """As :meth:`take_each`, in an event loop and several at a time."""
        if not any(event is not None and event.claim_check is not None for event in events):
            return list(events)
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(event: WorkflowResultEvent | None) -> WorkflowResultEvent | None:
            if event is None:
                return None
            async with slots:
                try:
                    return await self.atake(event)
                except WorkflowEventsError as error:
                    return as_error(event, error)

        async with asyncio.TaskGroup() as tasks:
            taking = [tasks.create_task(one(event)) for event in events]
        return [task.result() for task in taking]

    async def aping(self) -> None:
        """Ask whether the store is there and lets us read, without needing anything to be in it.

        Raises:
            ConfigurationError, ObjectStoreError, AccessDeniedError: as :meth:`aput` does.
        """
        store = self._store()
        with self._errors("take", _PROBE):
            try:
                async with asyncio.timeout(self._settings.request_timeout):
                    await _obstore().get_async(store, _PROBE)
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise

    def purge(self) -> int:
        """Delete what has been in the store for longer than the retention; returns how much that was.

        A bucket's own lifecycle rule does the same without anybody having to call this.

        Raises:
            ObjectStoreError, AccessDeniedError, ConfigurationError: as :meth:`put` does.
        """
        store, since = self._store(), self._now() - timedelta(seconds=self._settings.claim_check_retention)
        count = 0
        with self._errors("list", ""):
            for prefix in ("requests", "results"):
                for batch in _obstore().list(store, prefix=prefix):
                    old = [found["path"] for found in batch if found["last_modified"] < since]
                    if old:
                        _obstore().delete(store, old)
                    count += len(old)
        return count

    def _take_or_tell(self, event: WorkflowResultEvent) -> WorkflowResultEvent:
        try:
            return self.take(event)
        except WorkflowEventsError as error:
            return as_error(event, error)

    def _deposit(self, message: OutgoingMessage) -> Deposit | None:
        settings = self._settings
        if len(message.value) <= settings.claim_check_threshold:
            return None
        return check_in(
            message,
            threshold=settings.claim_check_threshold,
            max_bytes=settings.claim_check_max_bytes,
            expires_at=self._now() + timedelta(seconds=settings.claim_check_retention),
        )

    def _claim(self, event: WorkflowEvent | WorkflowResultEvent) -> Claim | None:
        return claim_of(event, max_bytes=self._settings.claim_check_max_bytes, now=self._now())

    @staticmethod
    def _of_right_size(claim: Claim, found: Any) -> Any:
        size = found.meta["size"]
        if size != claim.check.size:  # before the body is read: it may be of any size
            raise ClaimCheckError(
                f"{claim.what} is not what the store holds at {claim.place!r}: {size:,} bytes. It was changed after it was "
                "put there: find out who may write to the store, and ask again."
            )
        return found

    def _store(self, claim: Claim | None = None) -> ObjectStore:
        with self._lock:
            if self._opened is None:
                if self._settings.claim_check_store is None:
                    what = f"{claim.what} is" if claim is not None else "Large payloads are"
                    raise ClaimCheckError(
                        f"{what} kept in a store, and none is set here: set KAFKA_CLAIM_CHECK_STORE to the one that the other "
                        "side has."
                    )
                self._opened = _open(self._settings)
            return self._opened

    @contextmanager
    def _errors(self, action: str, place: str, claim: Claim | None = None) -> Iterator[None]:
        where = f"{self._settings.claim_check_store!r}"
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError  # noqa: PLC0415

        try:
            yield
        except FileNotFoundError as error:
            if claim is None:
                raise ConfigurationError(
                    f"There is no such place as KAFKA_CLAIM_CHECK_STORE ({where}) names: make the bucket or the folder."
                ) from error
            raise ClaimCheckError(
                f"{claim.what} is not in the store {where} at {claim.place!r}. Check that KAFKA_CLAIM_CHECK_STORE names the "
                "same store on both sides, and that nothing is deleted there before KAFKA_CLAIM_CHECK_RETENTION is over."
            ) from error
        except (PermissionDeniedError, UnauthenticatedError, PermissionError) as error:
            right = {"put": "to write (s3:PutObject)", "take": "to read (s3:GetObject)"}.get(
                action, "to list and delete (s3:ListBucket, s3:DeleteObject)"
            )
            raise AccessDeniedError(
                f"The store {where} does not let this process {action} {place!r}. Grant it the right {right} there, and check "
                f"the credentials in the environment. {_reason(error)}"
            ) from error
        except (BaseError, OSError) as error:  # a TimeoutError is an OSError
            raise ObjectStoreError(
                f"Cannot {action} {place!r} in the store {where}: {_reason(error)}. Check that it can be reached from here."
            ) from error


def _obstore() -> Any:
    import obstore  # noqa: PLC0415 - most processes never need it

    return obstore


def _open(settings: KafkaSettings) -> ObjectStore:
    """The store that the settings name. A bucket's credentials and endpoint come from the environment, as its tools have them.

    Raises:
        ConfigurationError: obstore is not installed, or the URL does not hold.
    """
    try:
        from obstore.store import LocalStore, from_url  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            "KAFKA_CLAIM_CHECK_STORE needs a library that is not installed: pip install 'workflow-events[claim-check]'"
        ) from error
    url = settings.claim_check_store or ""
    scheme, separator, path = url.partition("://")
    try:
        if not separator or scheme == "file":
            return LocalStore(prefix=Path(path if separator else url).expanduser().absolute(), mkdir=True)
        seconds = timedelta(seconds=settings.request_timeout)
        return from_url(
            url,
            client_options={
                "timeout": seconds,
                "connect_timeout": timedelta(seconds=settings.connect_timeout),
                "user_agent": settings.client_id,
                # Options that are given replace all of the environment's, and this one is how a test's server is reached.
                "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() in {"1", "true"},
            },
            retry_config={"max_retries": _RETRIES, "retry_timeout": seconds},
        )
    except PermissionError as error:
        raise AccessDeniedError(f"The folder {url!r} of KAFKA_CLAIM_CHECK_STORE cannot be made: {error}.") from error
    except Exception as error:
        raise ConfigurationError(f"KAFKA_CLAIM_CHECK_STORE ({url!r}) cannot be opened: {_reason(error)}.") from error


def _reason(error: BaseException) -> str:
    """The first paragraph of what obstore says; the others are for those who debug it."""
    text = " ".join(str(error).split("\n\n")[0].split()).rstrip(".")
    return text[:_LONGEST_REASON] or type(error).__name__
