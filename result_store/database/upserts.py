"""The statements that write rows, made of the tables and their rules; there is one for each table and kind of database.

On PostgreSQL all rows of a batch go in one ``INSERT ... SELECT FROM unnest($1::uuid[], ...) ON CONFLICT``: one array for each
column, however many rows. On SQLite the same ``ON CONFLICT`` clause follows the values. A row that would be the same after it is
not written at all (``DO UPDATE ... WHERE``), and is not returned: so what is returned is what has changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import Insert, String, Text, and_, case, cast, collate, func, literal_column, or_, select
from sqlalchemy import bindparam as bind
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

from result_store.database import tables
from result_store.database.merging import RULES

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Table
    from sqlalchemy.sql.base import ReadOnlyColumnCollection

    from result_store.database.merging import Merging

__all__ = ["RETURNED", "Unnest", "sqlite_upsert", "unnest_upsert"]

_WHOSE: Final = ("correlation_id",)

RETURNED: Final = {
    "archive_objects": ("key",),
    "runs": ("correlation_id", "workflow_id", "workflow_run_id", "state", "user_id", "tenant_id", "updated_at"),
    "run_events": _WHOSE,
    "steps": _WHOSE,
    "decision_events": _WHOSE,
}
"""What is asked of the rows that have changed. On PostgreSQL, whose rows they are is told once for all of a request's."""


@dataclass(frozen=True, slots=True)
class Unnest:
    """A statement for asyncpg itself.

    Attributes:
        sql: takes one array for each column.
        columns: their names, in order.
    """

    sql: str
    columns: tuple[str, ...]


class _Dialect(NamedTuple):
    insert: Any
    least: Any
    greatest: Any


_NO_RANK: Final[Any] = literal_column("''")
"""Below all ranks."""
_POSTGRESQL: Final = _Dialect(postgresql.insert, func.least, func.greatest)
_SQLITE: Final = _Dialect(sqlite.insert, func.min, func.max)


@cache
def unnest_upsert(name: str) -> Unnest:
    """The statement that writes a batch of rows to PostgreSQL."""
    table, rule = tables.metadata.tables[name], RULES[name]
    arrays = [cast(bind(each), ARRAY(_element(table.c[each].type))) for each in rule.columns]
    given = func.unnest(*arrays).table_valued(*rule.columns, name="given").render_derived()
    rows = select(*(given.c[each] for each in rule.columns))
    insert = postgresql.insert(table).from_select(rule.columns, rows, include_defaults=False)
    statement: Any = _on_conflict(insert, table, rule, _POSTGRESQL)
    if RETURNED.get(name) == _WHOSE:
        # A request has many rows here, and is to be named once.
        statement = select(statement.cte("written").c.correlation_id).distinct()
    compiled = statement.compile(dialect=asyncpg_dialect())  # type: ignore[no-untyped-call]
    places = {each: f"${number}" for number, each in enumerate(compiled.positiontup or (), start=1)}
    if [*places] != [*rule.columns]:
        raise AssertionError(f"the statement for {name} takes its columns in another order")
    return Unnest(str(compiled), rule.columns)


@cache
def sqlite_upsert(name: str) -> Insert:
    """The statement that writes rows to SQLite."""
    table, rule = tables.metadata.tables[name], RULES[name]
    insert = sqlite.insert(table).values({each: bind(each) for each in rule.columns})
    return _on_conflict(insert, table, rule, _SQLITE)


def _on_conflict(insert: Any, table: Table, rule: Merging, dialect: _Dialect) -> Insert:
    if rule.groups:
        new, old = insert.excluded, table.c
        changes, changed = _changes(rule, new, old, dialect)
        insert = insert.on_conflict_do_update(index_elements=[*rule.key], set_=changes, where=or_(*changed))
    else:
        insert = insert.on_conflict_do_nothing(index_elements=[*rule.key])
    returned = RETURNED.get(rule.name)
    result: Insert = insert.returning(*(table.c[each] for each in returned)) if returned else insert
    return result


def _changes(
    rule: Merging,
    new: ReadOnlyColumnCollection[str, Any],
    old: ReadOnlyColumnCollection[str, Any],
    dialect: _Dialect,
) -> tuple[dict[str, ColumnElement[Any]], list[ColumnElement[bool]]]:
    """What each column becomes, and the conditions of which one holds where that is a change."""
    changes: dict[str, ColumnElement[Any]] = {}
    changed: list[ColumnElement[bool]] = []
    for group in rule.groups:
        mine = old[group.rank]
        higher = new[group.rank] > (func.coalesce(mine, _NO_RANK) if mine.nullable else mine)
        for each in group.columns:
            changes[each] = case((higher, new[each]), else_=old[each])
        changed.append(higher)
    for columns, pick in ((rule.first, dialect.least), (rule.last, dialect.greatest)):
        for each in columns:
            mine, other = _comparable(old[each], dialect), _comparable(new[each], dialect)
            better = other < mine if pick is dialect.least else other > mine
            if old[each].nullable:
                # SQLite's min() of a null is null, PostgreSQL's least() leaves it out.
                changes[each] = pick(func.coalesce(mine, other), func.coalesce(other, mine))
                better = or_(better, and_(mine.is_(None), other.is_not(None)))
            else:
                changes[each] = pick(mine, other)
            changed.append(better)
    for each in rule.either:
        changes[each] = or_(old[each], new[each])
        changed.append(and_(new[each], ~old[each]))
    return changes, changed


def _comparable(value: ColumnElement[Any], dialect: _Dialect) -> ColumnElement[Any]:
    # As bytes, as Python and SQLite do, whatever the database's locale.
    return collate(value, "C") if dialect is _POSTGRESQL and isinstance(value.type, String) else value


def _element(kind: Any) -> Any:
    return Text() if isinstance(kind, String) else kind
