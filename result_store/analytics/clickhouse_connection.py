"""The connection to ClickHouse: to a server over HTTP, or to its engine in this process (``chdb://``).

clickhouse-connect's own asyncio client knows HTTP alone. Its synchronous one knows both, so that one is used, in threads of its
own; it keeps a pool of connections and no session, so that several questions may be asked at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from result_store.errors import AnalyticsError
from result_store.settings import variable
from workflow_events.errors import ConfigurationError, WorkflowEventsError

if TYPE_CHECKING:
    from types import TracebackType

    from clickhouse_connect.driver.client import Client

    from result_store.settings import StoreSettings

__all__ = ["ClickHouse", "Started"]

_T = TypeVar("_T")

_VARIABLE: Final = variable("clickhouse_url")
_AT_ONCE: Final = 4
_CONNECT_TIMEOUT, _ANSWER_TIMEOUT = 10, 120  # seconds
_PASSING: Final = {
    159: "TIMEOUT_EXCEEDED",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    241: "MEMORY_LIMIT_EXCEEDED",
    242: "TABLE_IS_READ_ONLY",
    252: "TOO_MANY_PARTS",
    319: "UNKNOWN_STATUS_OF_INSERT",
    394: "QUERY_WAS_CANCELLED",
    999: "KEEPER_EXCEPTION",
}
"""What ClickHouse refuses now and may do later."""
_ADVICE: Final = {
    60: "`result-store run` and `result-store report refill` make the tables",
    81: f"create the database that {_VARIABLE} names",
    192: f"set the user in {_VARIABLE}",
    193: f"set the password in {_VARIABLE}",
    194: f"set the password in {_VARIABLE}",
    497: f"grant the user in {_VARIABLE} SELECT, INSERT, CREATE TABLE and ALTER TABLE",
    516: f"set user and password in {_VARIABLE}",
}


class Started:
    """What is started before its use and closed after it, as an async context manager; closed too where it does not start."""

    async def start(self) -> None:
        """Connect."""
        raise NotImplementedError

    async def close(self) -> None:
        """Let go of the connection."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


class ClickHouse(Started):
    """A connection, as an async context manager.

    Args:
        settings: where it is.

    Raises:
        ConfigurationError: the settings name no ClickHouse.
    """

    def __init__(self, settings: StoreSettings) -> None:
        if settings.clickhouse_url is None:
            raise ConfigurationError(f"There is no ClickHouse to connect to: set {_VARIABLE}.")
        self._url = settings.clickhouse_url
        self._where = _without_secrets(self._url.get_secret_value())
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="clickhouse")
        self._client: Client | None = None

    def __repr__(self) -> str:
        return f"ClickHouse({self._where!r})"

    async def start(self) -> None:
        """Connect.

        Raises:
            AnalyticsError: it cannot be reached, or refuses.
            ConfigurationError: the URL is none.
        """
        if self._client is None:
            self._client = await self._run("to connect", lambda: _connect(self._url.get_secret_value()))

    async def close(self) -> None:
        """Let go of it. What is under way ends by itself."""
        client, self._client = self._client, None
        if client is not None:
            await asyncio.get_running_loop().run_in_executor(self._threads, client.close)
        self._threads.shutdown(wait=False)

    async def ping(self) -> None:
        """See whether it answers.

        Raises:
            AnalyticsError: it does not.
        """
        await self.query("SELECT 1")

    async def query(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Ask, and return the rows by their columns' names. Times are aware.

        Raises:
            AnalyticsError: there is no answer.
        """

        def ask(client: Client) -> list[dict[str, Any]]:
            return list(client.query(statement, parameters=dict(parameters or {}), tz_mode="schema").named_results())

        return await self._use("to answer", ask)

    async def command(self, statement: str) -> None:
        """Have something done.

        Raises:
            AnalyticsError: it is not done.
        """
        await self._use("to make the tables", lambda client: client.command(statement))

    async def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Add rows, in one block.

        Raises:
            AnalyticsError: they were not added, or it is not known whether they were.
        """
        # Rows of many months may come together in a replay; by default ClickHouse takes a hundred months at once.
        spread = {"throw_on_max_partitions_per_insert_block": 0}
        await self._use(
            f"to take rows of {table}",
            lambda client: client.insert(table, rows, column_names=columns, settings=spread),
        )

    async def _use(self, what: str, do: Callable[[Client], _T]) -> _T:
        client = self._client
        if client is None:
            raise AnalyticsError(f"The connection to ClickHouse at {self._where} is not open: start() it first.")
        return await self._run(what, lambda: do(client))

    async def _run(self, what: str, do: Callable[[], _T]) -> _T:
        def mapped() -> _T:
            problem: AnalyticsError
            try:
                return do()
            except WorkflowEventsError:
                raise
            except Exception as error:  # noqa: BLE001 - of a row that it cannot write it raises what it comes across
                problem = self._in_words(what, error)
            # Raised outside the handler: the driver's words may hold values of rows, and must not stand in a traceback.
            raise problem

        return await asyncio.get_running_loop().run_in_executor(self._threads, mapped)

    def _in_words(self, what: str, error: Exception) -> AnalyticsError:
        from clickhouse_connect.driver import exceptions  # noqa: PLC0415 - importing it takes its time

        code, name = getattr(error, "code", None), getattr(error, "name", None)
        if code is not None:
            advice = _ADVICE.get(code)
            return AnalyticsError(
                f"ClickHouse at {self._where} refuses {what}: error {code} {name or _PASSING.get(code, '')}".rstrip()
                + (f"; {advice}." if advice else "."),
                retryable=code in _PASSING,
            )
        ours = exceptions.DataError, exceptions.ProgrammingError, exceptions.NotSupportedError, exceptions.InternalError
        if isinstance(error, OSError | exceptions.ClickHouseError) and not isinstance(error, ours):
            return AnalyticsError(
                f"ClickHouse at {self._where} cannot be reached, or broke off, when asked {what}: see that it runs, and that "
                f"{_VARIABLE} names it.",
                retryable=True,
            )
        return AnalyticsError(
            f"ClickHouse at {self._where} was not asked {what}: clickhouse-connect fails with {type(error).__name__}."
            + (_ONE_PROCESS if self._url.get_secret_value().startswith("chdb:") else "")
        )


_ONE_PROCESS: Final = " One process at a time can open a folder of chdb, and one folder at a time."


def _connect(url: str) -> Client:
    import clickhouse_connect  # noqa: PLC0415 - see above

    options: dict[str, Any] = {} if url.startswith("chdb:") else _HTTP
    problem = None
    try:
        return clickhouse_connect.get_client(dsn=url, **options)
    except ValueError as error:
        problem = type(error).__name__
    # Raised outside the handler: the error may hold a part of the URL, and with it the password.
    raise ConfigurationError(
        f"{_VARIABLE} is no URL of a ClickHouse ({problem}): give http://user:password@host:8123/database."
    )


_HTTP: Final = {
    "autogenerate_session_id": False,
    "connect_timeout": _CONNECT_TIMEOUT,
    "send_receive_timeout": _ANSWER_TIMEOUT,
}


def _without_secrets(url: str) -> str:
    """The address in a URL, without user, password and options; also of one whose password is not quoted as it should be."""
    return url.partition("://")[2].rpartition("@")[2].partition("?")[0]
