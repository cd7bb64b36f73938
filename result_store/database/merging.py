"""How two versions of a row become one. Pure.

The rule of a table is read from its columns. A rank decides over the columns above it, up to the rank before
(:mod:`result_store.ranks`); columns whose ``info`` says so are the first, the last or either of all versions. Every part is
commutative, associative and idempotent, so the order and the number of versions do not matter (Shapiro et al., "Conflict-free
replicated data types", 2011). Rows of one batch are merged here, by :meth:`Merging.merge`; with what the database has, by the
statement that :mod:`result_store.database.upserts` makes of the same rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Uuid

from result_store.database import tables

if TYPE_CHECKING:
    from sqlalchemy import Table

__all__ = ["RULES", "Group", "Merging", "Row", "rule_of"]

Row = dict[str, Any]
"""A row by column names; an absent column is null."""


@dataclass(frozen=True, slots=True)
class Group:
    """Columns that are replaced together.

    Attributes:
        rank: the column that decides.
        columns: those that it decides over, and itself.
    """

    rank: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Merging:
    """A table's rule.

    Attributes:
        name: the table's.
        key: the columns of its primary key.
        key_of: what makes a row this row; an id is its number, which compares and sorts much faster than a UUID.
        columns: all that are written, in the table's order.
    """

    name: str
    key: tuple[str, ...]
    key_of: Callable[[Row], Any]
    columns: tuple[str, ...]
    groups: tuple[Group, ...]
    first: tuple[str, ...]
    last: tuple[str, ...]
    either: tuple[str, ...]

    def merge(self, row: Row, other: Row) -> None:
        """Make one of two versions of a row, in `row`."""
        for group in self.groups:
            rank = other.get(group.rank)
            if rank is not None:
                mine = row.get(group.rank)
                if mine is None or rank > mine:
                    for column in group.columns:
                        row[column] = other.get(column)
        for columns, pick in ((self.first, min), (self.last, max), (self.either, max)):
            for column in columns:
                value = other.get(column)
                if value is not None:
                    mine = row.get(column)
                    row[column] = value if mine is None else pick(mine, value)

    def merged(self, rows: Iterable[Row]) -> list[Row]:
        """The rows with those of one key made one, in the order of their keys.

        Whoever writes several rows writes them in this order, so that two writers never wait for each other in a ring.
        """
        by_key: dict[Any, Row] = {}
        key_of = self.key_of
        for row in rows:
            key = key_of(row)
            mine = by_key.get(key)
            if mine is None:
                by_key[key] = row
            else:
                self.merge(mine, row)
        return [by_key[key] for key in sorted(by_key)]


def rule_of(table: Table) -> Merging:
    """The rule that a table's columns tell.

    Raises:
        ValueError: nothing says how two versions of a column become one.
    """
    key = tuple(column.name for column in table.primary_key.columns)
    written = [column for column in table.columns if column.computed is None]
    groups: list[Group] = []
    single: dict[str, list[str]] = {"first": [], "last": [], "either": []}
    waiting: list[str] = []
    for column in written:
        how = column.info.get(tables.MERGE)
        if column.name in key:
            continue
        if how in single:
            single[how].append(column.name)
            continue
        waiting.append(column.name)
        if how == "rank":
            groups.append(Group(column.name, tuple(waiting)))
            waiting = []
    if waiting and (groups or any(single.values())):
        raise ValueError(f"nothing says how versions of {table.name}.{', '.join(waiting)} become one")
    return Merging(
        table.name,
        key,
        _key_of(table, key),
        tuple(column.name for column in written),
        tuple(groups),
        *(tuple(single[how]) for how in ("first", "last", "either")),
    )


def _key_of(table: Table, key: tuple[str, ...]) -> Callable[[Row], Any]:
    first, *others = key
    if not isinstance(table.c[first].type, Uuid):
        return itemgetter(*key)
    if not others:
        return lambda row: row[first].int
    rest = itemgetter(*others)
    return lambda row: (row[first].int, rest(row))


RULES: Final = {
    table.name: rule_of(table)
    for table in (
        tables.archive_objects,
        tables.runs,
        tables.run_events,
        tables.steps,
        tables.decision_events,
        tables.invalid_messages,
        tables.dead_letters,
    )
}
"""The rules of the tables that messages are written to, in the order in which they are written. ``run_events`` has none: what its
key is a digest of never changes."""
