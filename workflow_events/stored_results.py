"""Asks the result store over HTTP, for threads and for event loops.

What is asked and what an answer means is decided in :mod:`workflow_events.stored_runs`; this is the way there and back. httpx is
imported when the store is first asked, in a thread where an event loop asks. Redirects are not followed: the key is for the
address that was configured.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import threading
from typing import TYPE_CHECKING, Any, Self

from workflow_events.errors import ConfigurationError, ResultStoreUnavailableError, ResultUnavailableError
from workflow_events.replies.correlator import Verdict, judge
from workflow_events.stored_runs import headers_for, read_answer, result_in, url_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from uuid import UUID

    import httpx

    from workflow_events.events import WorkflowResultEvent
    from workflow_events.pending import PendingRequest
    from workflow_events.settings import KafkaSettings
    from workflow_events.stored_runs import StoredRun

__all__ = ["AsyncStoredResults", "StoredResults"]

ANSWER_SECONDS = 5.0
"""The longest that one question may take; a store that is slower is no quick second source."""
_CONNECT_SECONDS = 2.0


class StoredResults:
    """The result store's API for threads; they may share one. Connects when first used.

    Args:
        settings: ``result_store_url`` is set.

    Raises:
        ConfigurationError: no store is set, or httpx is not installed.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self.url = _url(settings)
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def run(self, correlation_id: UUID, seconds: float = ANSWER_SECONDS) -> StoredRun | None:
        """What the store has of a request; None where it does not know it.

        Args:
            seconds: the longest to wait for the answer's next part.

        Raises:
            AccessDeniedError, ResultStoreUnavailableError, ConfigurationError: as
                :func:`~workflow_events.stored_runs.read_answer` has them.
        """
        with self._lock:
            client = self._client = self._client or _new(_library().Client)
        with _mapped(self.url):
            answer = client.get(
                url_of(self.settings, correlation_id),
                headers=headers_for(self.settings, correlation_id),
                timeout=_timeout(seconds),
            )
        return read_answer(self.url, correlation_id, *_parts(answer))

    def result(self, pending: PendingRequest) -> WorkflowResultEvent:
        """The result that the store has of a request.

        Raises:
            ResultUnavailableError: there is none, or one that does not answer this attempt.
            AccessDeniedError, ResultStoreUnavailableError, ConfigurationError: as :meth:`run`.
        """
        run = self.run(pending.correlation_id)
        found = None if run is None else result_in(self.url, run)
        if found is None or judge(pending, found) is not Verdict.OWN:
            raise ResultUnavailableError(
                f"The result of request {pending.correlation_id} is not in the result store {self.url} any more."
            )
        return found

    def close(self) -> None:
        """Close the connections; the next question connects anew."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()


class AsyncStoredResults:
    """The result store's API for one event loop. Connects when first used.

    Args:
        settings: ``result_store_url`` is set.

    Raises:
        ConfigurationError: no store is set, or httpx is not installed.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self.url = _url(settings)
        self._turn = asyncio.Lock()
        self._client: httpx.AsyncClient | None = None

    async def run(self, correlation_id: UUID, seconds: float = ANSWER_SECONDS) -> StoredRun | None:
        """What the store has of a request; None where it does not know it.

        Args:
            seconds: the longest that all of it may take.

        Raises:
            AccessDeniedError, ResultStoreUnavailableError, ConfigurationError: as
                :func:`~workflow_events.stored_runs.read_answer` has them.
        """
        client = await self._connected()
        with _mapped(self.url):
            async with asyncio.timeout(seconds):
                answer = await client.get(
                    url_of(self.settings, correlation_id),
                    headers=headers_for(self.settings, correlation_id),
                    timeout=_timeout(seconds),
                )
        return read_answer(self.url, correlation_id, *_parts(answer))

    async def _connected(self) -> httpx.AsyncClient:
        async with self._turn:
            client = self._client
            if client is None:
                # Reads the trusted certificates, besides an import: longer than others of the loop should have to wait.
                client = self._client = await asyncio.to_thread(_new_async)
            return client

    async def aclose(self) -> None:
        """Close the connections; the next question connects anew."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


@contextlib.contextmanager
def _mapped(url: str) -> Iterator[None]:
    """The errors of httpx as ours."""
    library = _library()
    try:
        yield
    except (library.TimeoutException, TimeoutError) as error:
        raise ResultStoreUnavailableError(
            f"The result store {url} did not answer in time. Check that it runs and can be reached from here."
        ) from error
    except (library.HTTPError, library.InvalidURL, OSError) as error:
        said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ResultStoreUnavailableError(
            f"The result store {url} cannot be asked: {said}. Check that it runs and can be reached from here."
        ) from error


def _url(settings: KafkaSettings) -> str:
    if settings.result_store_url is None:
        raise ConfigurationError("No result store is set: set KAFKA_RESULT_STORE_URL to the address of its API.")
    if importlib.util.find_spec("httpx") is None:
        raise ConfigurationError(
            "KAFKA_RESULT_STORE_URL needs a library that is not installed: pip install 'workflow-events[store-client]'"
        )
    return settings.result_store_url


def _library() -> Any:
    import httpx  # noqa: PLC0415 - most processes never ask

    return httpx


def _new(kind: Any) -> Any:
    return kind(follow_redirects=False)


def _new_async() -> httpx.AsyncClient:
    client: httpx.AsyncClient = _new(_library().AsyncClient)
    return client


def _timeout(seconds: float) -> Any:
    return _library().Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))


def _parts(answer: Any) -> tuple[int, str, bytes]:
    return answer.status_code, answer.headers.get("content-type", ""), answer.content
