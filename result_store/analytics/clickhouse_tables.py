"""What is in ClickHouse: three tables, and how the store's rows become theirs.

Rows come again and again: each time one has changed, and after every replay. ``ReplacingMergeTree`` keeps the one with the
highest ``version``, within a month; so the time by which a row is sorted into its month (``at``) should stay the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import BigInteger, Boolean, Double, Integer, String, Uuid

from result_store.analytics.arithmetic import GOING_ON, superstep_of
from result_store.database import tables
from result_store.database.tables import UtcDateTime
from workflow_events.identifiers import timestamp_of

if TYPE_CHECKING:
    from sqlalchemy import Column, Table
    from sqlalchemy.types import TypeEngine

__all__ = ["DECISION_EVENTS", "RUNS", "STEPS", "TABLES", "CopiedTable"]

_VERSION: Final = "version"
_TIME: Final = "DateTime64(6, 'UTC')"
_EARLIEST, _LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2299, 12, 31, tzinfo=UTC)
"""What ClickHouse's DateTime64 holds."""

_TYPES: Final[tuple[tuple[type[TypeEngine[Any]], str], ...]] = (
    (Uuid, "UUID"),
    (Boolean, "Bool"),
    (Double, "Float64"),
    (BigInteger, "Int64"),
    (Integer, "Int64"),
    (UtcDateTime, _TIME),
    (String, "String"),
)

_OF_RUN: Final = (
    *("correlation_id", "workflow_id", "workflow_run_id", "state", "attempt", "graph", "user_id", "tenant_id"),
    *("requested_at", "accepted_at", "begun_at", "started_at", "finished_at", "updated_at"),
    *("error_type", "error_node", "duration_ms", "input_tokens", "output_tokens", "total_tokens", "cost"),
    *("exit_code", "execution_ms", "peak_memory_bytes", "request_bytes", "result_bytes"),
    *("request_archive_key", "result_archive_key"),
)
"""Of a run what is counted and compared. Its texts are in the store's database, and whole messages in the archive."""


@dataclass(frozen=True, slots=True)
class CopiedTable:
    """One table in ClickHouse, copied from one of the store's.

    Attributes:
        source: the store's table.
        read: the columns that a copy is made of.
        copied: those of them that it has itself.
        worked_out: columns that it has besides, their types, and how they are worked out of a row.
        key: what makes a row that row.
        sought_by: columns of which ClickHouse keeps the least and the greatest value of each few thousand rows.
    """

    source: Table
    read: Sequence[Column[Any]]
    copied: Sequence[Column[Any]]
    worked_out: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Any]]]
    key: Sequence[str]
    sought_by: Sequence[str] = ()

    @property
    def name(self) -> str:
        """What it is called in both databases."""
        return self.source.name

    @property
    def columns(self) -> list[str]:
        """The columns' names, in the order of :meth:`row`."""
        return [*(column.name for column in self.copied), *self.worked_out, _VERSION]

    def row(self, source: Mapping[str, Any], version: int) -> list[Any]:
        """A row of the store's table as it is in ClickHouse.

        Args:
            version: of two rows with one key the one with the higher counts.
        """
        return [
            *(_held(source[column.name]) for column in self.copied),
            *(_held(work_out(source)) for _, work_out in self.worked_out.values()),
            version,
        ]

    def statements(self) -> Iterable[str]:
        """What makes the table where it is absent, and adds what an older version of the store did not know."""
        types = {column.name: _type_of(column) for column in self.copied}
        types |= {name: of for name, (of, _) in self.worked_out.items()}
        types[_VERSION] = "UInt64"
        columns = ", ".join(f"`{name}` {of}" for name, of in types.items())
        yield (
            f"CREATE TABLE IF NOT EXISTS `{self.name}` ({columns}) ENGINE = ReplacingMergeTree(`{_VERSION}`) "
            f"PARTITION BY toYYYYMM(`at`) ORDER BY ({', '.join(f'`{name}`' for name in self.key)})"
        )
        added = [f"ADD COLUMN IF NOT EXISTS `{name}` {of}" for name, of in types.items()]
        added += [
            f"ADD INDEX IF NOT EXISTS `{name}_range` `{name}` TYPE minmax GRANULARITY 1" for name in self.sought_by
        ]
        yield f"ALTER TABLE `{self.name}` {', '.join(added)}"


def _type_of(column: Column[Any]) -> str:
    found = next(name for kind, name in _TYPES if isinstance(column.type, kind))
    return f"Nullable({found})" if column.nullable else found


def _held(value: Any) -> Any:
    return min(max(value, _EARLIEST), _LATEST) if isinstance(value, datetime) else value


def _all_but_ranks(table: Table) -> list[Column[Any]]:
    """What ranks decide is decided in the store's database."""
    return [column for column in table.c if not column.name.endswith("rank")]


def _asked_at(run: Mapping[str, Any]) -> datetime:
    """When a run was asked for, the same in every version of its row where its id tells it, as ids of this SDK do.

    Of a foreign id it is the first time known, which may move to an earlier one; who asks for rows leaves room for that.
    """
    told = timestamp_of(run["correlation_id"])
    known = (run[name] for name in ("requested_at", "accepted_at", "begun_at", "finished_at", "updated_at"))
    return told or next(time for time in known if time is not None)


_RUN_COLUMNS: Final = [tables.runs.c[name] for name in _OF_RUN]
_DECISION_COLUMNS: Final = _all_but_ranks(tables.decision_events)


def _ended_or_heard(run: Mapping[str, Any]) -> datetime:
    """When a run ended; of one that goes on, when it was heard of last."""
    found: datetime = run["updated_at"] if run["state"] in GOING_ON else run["finished_at"]
    return found


RUNS: Final = CopiedTable(
    tables.runs,
    _RUN_COLUMNS,
    _RUN_COLUMNS,
    {
        "at": (_TIME, _asked_at),
        "ended_or_heard": (_TIME, _ended_or_heard),
    },
    key=("correlation_id",),
    sought_by=("ended_or_heard",),
)
STEPS: Final = CopiedTable(
    tables.steps,
    list(tables.steps.c),
    _all_but_ranks(tables.steps),
    {
        "superstep": ("Nullable(Int64)", lambda step: superstep_of(step["step_key"], step["name"])),
        "told": ("Bool", lambda step: step["node_rank"] is not None or step["counts_rank"] is not None),
    },
    key=("correlation_id", "step_key"),
)
DECISION_EVENTS: Final = CopiedTable(
    tables.decision_events, _DECISION_COLUMNS, _DECISION_COLUMNS, {}, key=("correlation_id", "decision_id")
)
TABLES: Final = (RUNS, STEPS, DECISION_EVENTS)
