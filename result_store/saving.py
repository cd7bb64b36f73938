"""The one way into the store: a batch's payloads are fetched, its facts saved, and those told who keep copies of rows.

The processor and a replay go through it alike. What may pass by itself (the database, the archive or ClickHouse is away) is tried
again for as long as it lasts; what will not is raised. A message that the database will never take is found by halving the
batch, and kept as invalid.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from tenacity import AsyncRetrying, retry_if_exception, wait_random_exponential

from result_store.cache import owners_of
from result_store.errors import ResultStoreError, UnstorableError
from result_store.facts import InvalidFact, ProgressFact, RequestFact, ResultFact
from result_store.metrics import StoreMetrics
from result_store.reading import POISON, invalid
from result_store.redeeming import redeem
from workflow_events.errors import WorkflowEventsError
from workflow_events.payloads import Payloads

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from uuid import UUID

    from tenacity import RetryCallState

    from result_store.archive import Archive
    from result_store.batches import Batch, Taken
    from result_store.database.database import ResultDatabase
    from result_store.records import StoredEvent
    from workflow_events.settings import KafkaSettings

__all__ = ["Announces", "Forgets", "Saving", "Sink"]

log = logging.getLogger(__name__)

_OF_RUNS: Final = (RequestFact, ResultFact, ProgressFact)
_FIRST_WINDOW: Final = 0.2  # seconds
_LONGEST_WAIT: Final = 15.0
_PAUSE: Final = 30.0


class Forgets(Protocol):
    """The cache, as far as a write concerns it."""

    async def forget(self, owners: Iterable[str]) -> None:
        """Forget the answers that belong to these."""


class Announces(Protocol):
    """Who tells live views of changed rows."""

    async def announce(self, changed: Sequence[StoredEvent]) -> None:
        """Tell of them."""


class Sink(Protocol):
    """Who keeps a copy of the rows for analytics."""

    async def copy(self, correlation_ids: Iterable[UUID]) -> None:
        """Copy these requests' rows, as they are in the database now."""


class Saving:
    """Stores batches.

    Args:
        kafka: name the claim check's store.
        database: keeps the rows.
        archive: keeps whole messages; None: nobody does.
        sink: gets the rows before the batch counts as stored; None: nobody does.
        cache: forgets what the batch has made stale; None: there is none.
        announcer: tells live views; None: nobody does.
        metrics: count.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        database: ResultDatabase,
        *,
        archive: Archive | None = None,
        sink: Sink | None = None,
        cache: Forgets | None = None,
        announcer: Announces | None = None,
        metrics: StoreMetrics | None = None,
    ) -> None:
        self._payloads = Payloads(kafka)
        self._database = database
        self._keep = None if archive is None else archive.put
        self._sink = sink
        self._cache = cache
        self._announcer = announcer
        self._metrics = metrics or StoreMetrics()
        self._silent: set[str] = set()
        self._announces_again_at = 0.0
        self._failing: dict[object, BaseException | None] = {}

    @property
    def failing(self) -> BaseException | None:
        """The error of the last try, while something is tried again."""
        return next(iter(self._failing.values()), None)

    async def save(self, batch: Batch[Any]) -> list[StoredEvent]:
        """Store a batch for good, however long that takes; what has changed in the rows.

        Raises:
            DatabaseError: the database refuses, and trying again will not help.
            ArchiveError: likewise the archive.
            AnalyticsError: likewise the sink.
            WorkflowEventsError: likewise the claim check's store.
        """
        started = time.perf_counter()
        taken = await self._persistently(lambda: redeem(batch.taken, self._payloads))
        changed = await self._saved(taken)
        if self._sink is not None:
            # Not only what has changed: of a batch whose processor died before this line, nothing changes the second time.
            sink, ids = self._sink, {one.fact.correlation_id for one in taken if isinstance(one.fact, _OF_RUNS)}
            await self._persistently(lambda: sink.copy(ids))
        self._metrics.saved(time.perf_counter() - started, len(batch), len(changed))
        for (topic, kind), count in batch.kinds.items():
            self._metrics.taken(topic, kind, count)
        return changed

    async def forget(self, changed: Sequence[StoredEvent]) -> None:
        """Have the cache forget what changed rows make stale, once they are stored for good. It raises nothing."""
        if changed and self._cache is not None:
            cache, owners = self._cache, owners_of(changed)
            await self._tried(
                "The cache does not forget what is stale; its answers may be old until they expire",
                lambda: cache.forget(owners),
            )

    async def announce(self, changed: Sequence[StoredEvent]) -> None:
        """Tell live views of changed rows, once they are stored for good. It raises nothing: they can be asked for as well."""
        announcer = self._announcer
        if not changed or announcer is None or time.monotonic() < self._announces_again_at:
            return
        if not await self._tried("Live views are not told of changes", lambda: announcer.announce(changed)):
            # Each try may take as long as the topic or a broker is waited for, and the next batch would wait with it.
            self._announces_again_at = time.monotonic() + _PAUSE

    async def _saved(self, taken: Sequence[Taken]) -> list[StoredEvent]:
        """Save some; where the database will not have one of them, each half by itself."""
        if not taken:
            return []
        facts = [one.fact for one in taken]
        try:
            saved = await self._persistently(lambda: self._database.save(facts, keep=self._keep))
        except UnstorableError as error:
            problem: Exception = error
        except WorkflowEventsError:
            raise
        except Exception as error:  # noqa: BLE001
            # What nobody foresaw is in one message as a rule, and must not stop all others.
            problem = error
        else:
            refused = Counter((fact.place.topic, fact.error_type) for fact in facts if isinstance(fact, InvalidFact))
            for (topic, error_type), count in refused.items():
                self._metrics.refused(topic, error_type, count)
            return list(saved.changed)
        if len(taken) > 1:
            half = len(taken) // 2
            return [*await self._saved(taken[:half]), *await self._saved(taken[half:])]
        return await self._poisoned(taken[0], problem)

    async def _poisoned(self, one: Taken, problem: Exception) -> list[StoredEvent]:
        if isinstance(one.fact, InvalidFact):
            log.error("The message at %s cannot be kept, not even as an invalid one: %s", one.fact.place, problem)
            return []
        said = (
            str(problem) if isinstance(problem, ResultStoreError) else f"storing it failed ({type(problem).__name__})"
        )
        fact = invalid(one.record, POISON, f"The database does not take what is in this message: {said}")
        log.warning(
            "The message at %s is kept as invalid: %s",
            fact.place,
            fact.error,
            exc_info=None if isinstance(problem, ResultStoreError) else problem,
        )
        return await self._saved([one._replace(fact=fact)])

    async def _persistently(self, act: Callable[[], Awaitable[Any]]) -> Any:
        retrying = AsyncRetrying(
            retry=retry_if_exception(_may_pass),
            wait=wait_random_exponential(multiplier=_FIRST_WINDOW, max=_LONGEST_WAIT),
            before_sleep=lambda state: self._note(retrying, state),
            reraise=True,
        )

        async def once_more() -> Any:  # tenacity knows a coroutine function by its definition
            return await act()

        try:
            return await retrying(once_more)
        finally:
            self._failing.pop(retrying, None)

    def _note(self, what: object, state: RetryCallState) -> None:
        error = self._failing[what] = state.outcome.exception() if state.outcome else None
        # Warned about at the 1st, 2nd, 4th, 8th ... failure: an outage is visible, and does not flood the log.
        seldom = state.attempt_number & (state.attempt_number - 1) == 0
        log.log(
            logging.WARNING if seldom else logging.DEBUG,
            "Nothing is stored at the moment: %s (failure %d; trying again in %.1f s)",
            error,
            state.attempt_number,
            state.upcoming_sleep,
        )

    async def _tried(self, what: str, act: Callable[[], Awaitable[object]]) -> bool:
        """Do what may fail without harm; whether it was done. The first failure of an outage is logged."""
        try:
            await act()
        except Exception as error:  # noqa: BLE001 - fails open, whatever it is
            log.log(logging.DEBUG if what in self._silent else logging.WARNING, "%s: %s", what, error)
            self._silent.add(what)
            return False
        if what in self._silent:
            self._silent.discard(what)
            log.warning("Over: %s", what)
        return True


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, WorkflowEventsError) and bool(getattr(error, "retryable", False))
