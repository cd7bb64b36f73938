"""The external ledger: what was asked, what ran and what was answered, in one SQLite file that any process writes.

Nobody but the chaos harness knows of it. A node writes its row at its end, in one transaction; the requester writes each pending
request when it has been published, and each answer when it has it. A killed process loses what it had not written, and
nothing else: the file outlives every process (``synchronous=OFF`` would only matter if the machine were lost).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Answer", "Execution", "Ledger"]

_TABLES = """
CREATE TABLE IF NOT EXISTS executions (
    request TEXT NOT NULL, node TEXT NOT NULL, token TEXT NOT NULL UNIQUE, worker TEXT NOT NULL, began REAL NOT NULL,
    ended REAL NOT NULL);
CREATE TABLE IF NOT EXISTS pending (n INTEGER PRIMARY KEY, request TEXT NOT NULL, json TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS answers (n INTEGER NOT NULL, request TEXT NOT NULL, status TEXT NOT NULL, result TEXT NOT NULL,
    requester TEXT NOT NULL);
"""
_BUSY = 60.0  # seconds that a writer waits for another


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of one node to its end. Times are in seconds since 1970, on the machine's one clock.

    Attributes:
        token: made for this execution alone; the node also puts it into the graph's state, so that the checkpoints say
            which executions they know of.
        worker: the process.
    """

    request: str
    node: str
    token: str
    worker: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What a requester was told; ``status`` is ``lost``, and the result an error, where it was told nothing in time."""

    n: int
    request: str
    status: str
    result: dict[str, Any]
    requester: str


class Ledger:
    """The ledger in one file; it is made where it is missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._connected() as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.executescript(_TABLES)

    def executed(self, execution: Execution) -> None:
        """Enter an execution."""
        row = (execution.request, execution.node, execution.token, execution.worker, execution.began, execution.ended)
        self._write("INSERT INTO executions VALUES (?, ?, ?, ?, ?, ?)", row)

    def asked(self, n: int, request: str, pending: dict[str, Any]) -> None:
        """Enter a pending request; the first of an ``n`` stays."""
        self._write("INSERT OR IGNORE INTO pending VALUES (?, ?, ?)", (n, request, json.dumps(pending)))

    def answered(self, answer: Answer) -> None:
        """Enter an answer."""
        row = (answer.n, answer.request, answer.status, json.dumps(answer.result), answer.requester)
        self._write("INSERT INTO answers VALUES (?, ?, ?, ?, ?)", row)

    def pending(self) -> dict[int, dict[str, Any]]:
        """All pending requests by ``n``, answered or not."""
        return {n: json.loads(text) for n, text in self._read("SELECT n, json FROM pending ORDER BY n")}

    def answers(self) -> list[Answer]:
        """All answers in the order in which they came."""
        rows = self._read("SELECT n, request, status, result, requester FROM answers ORDER BY rowid")
        return [Answer(n, request, status, json.loads(result), who) for n, request, status, result, who in rows]

    def answered_count(self) -> int:
        """How many requests have an answer."""
        return int(self._read("SELECT COUNT(DISTINCT n) FROM answers")[0][0])

    def executions(self) -> list[Execution]:
        """All executions in the order in which they began."""
        rows = self._read("SELECT request, node, token, worker, began, ended FROM executions ORDER BY began")
        return [Execution(*row) for row in rows]

    def _write(self, statement: str, row: tuple[Any, ...]) -> None:
        with self._connected() as database, database:
            database.execute(statement, row)

    def _read(self, statement: str) -> list[tuple[Any, ...]]:
        with self._connected() as database:
            return database.execute(statement).fetchall()

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self.path, timeout=_BUSY)
        try:
            database.execute("PRAGMA synchronous=OFF")
            yield database
        finally:
            database.close()
