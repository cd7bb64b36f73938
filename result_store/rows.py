"""The rows that facts become, and the messages to archive. Pure.

Each fact gives a version of some rows, with nothing in the columns that it does not know of; the versions of one batch are merged
here (:mod:`result_store.database.merging`), so that the database writes each row once for the batch.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from asyncpg.pgproto import pgproto  # type: ignore[import-untyped]

from result_store import archive_keys
from result_store.archive_keys import ArchiveObject
from result_store.column_values import attempt_of, count, identity, json_text, name, number, small_count, text, utc
from result_store.database.merging import RULES, Row
from result_store.facts import DeadLetterFact, Fact, InvalidFact, ProgressFact, RequestFact, ResultFact
from result_store.ranks import name_rank, progress_rank, request_rank, result_rank
from result_store.step_rows import broken_step, counted_step, decisions, finished_node, tells_of_step
from workflow_events.events import EventType

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from workflow_events.events import WorkflowEvent, WorkflowResultEvent

__all__ = ["BatchRows", "rows_of"]

_ACCEPTED, _HEARTBEAT = EventType.WORKFLOW_ACCEPTED, EventType.WORKFLOW_HEARTBEAT
_BY_REQUEST, _BY_RESULT, _BY_WORKER = 3, 2, 1
_LONGEST_TOLD: Final = 2_000
"""Characters of an error's text in a timeline; the run's row has all of it."""
_AT_ONCE: Final = frozenset({"archive_objects", "runs"})
_NO_KIND: Final = "custom"
_LONGEST_KIND: Final = 64


class BatchRows:
    """What is to be written for a batch.

    The messages to archive and the rows of ``runs`` are there at once. The others are worked out when they are first asked for,
    which may be while the database is at work on those.

    Attributes:
        objects: the messages to archive, by key.
    """

    def __init__(self, made: _Batch) -> None:
        self._made = made
        self._merged: dict[str, list[Row]] = {}
        self.objects: dict[str, ArchiveObject] = made.objects

    def of(self, table: str) -> list[Row]:
        """The rows of a table, one of each key, in the order of their keys."""
        found = self._merged.get(table)
        if found is None:
            if table not in _AT_ONCE:
                self._made.finish()
            found = self._merged[table] = RULES[table].merged(self._made.rows[table])
        return found

    @property
    def tables(self) -> dict[str, list[Row]]:
        """The rows of all tables, by name, in the order in which they are written."""
        return {table: self.of(table) for table in RULES}


def rows_of(facts: Iterable[Fact], *, archives: bool, inline_bytes: int) -> BatchRows:
    """The rows of a batch.

    Args:
        archives: whether whole messages are archived; rows link to them, and leave large results to them.
        inline_bytes: the largest result that is in its row too, in bytes of JSON. Without an archive every one is.

    Raises:
        UnstorableError: a value of one of them fits no column.
    """
    batch = _Batch(archives=archives, inline_bytes=inline_bytes)
    for fact in facts:
        batch.add(fact)
    return BatchRows(batch)


class _Batch:
    def __init__(self, *, archives: bool, inline_bytes: int) -> None:
        self._archives = archives
        self._inline_bytes = inline_bytes
        self.rows: dict[str, list[Row]] = {table: [] for table in RULES}
        self.objects: dict[str, ArchiveObject] = {}
        self._later: list[tuple[ProgressFact, str, datetime, str, str | None, str | None, str | None]] = []

    def finish(self) -> None:
        """Work out what was left for later."""
        later, self._later = self._later, []
        for left in later:
            self._tell(*left)

    def add(self, fact: Fact) -> None:
        if isinstance(fact, ProgressFact):
            self._progress(fact)
        elif isinstance(fact, ResultFact):
            self._result(fact)
        elif isinstance(fact, RequestFact):
            self._request(fact)
        elif isinstance(fact, InvalidFact):
            self.rows["invalid_messages"].append(_invalid(fact))
        else:
            self.rows["dead_letters"].append(_dead_letter(fact))

    def _request(self, fact: RequestFact) -> None:
        event = fact.event
        at = utc(event.timestamp)
        rank = request_rank(event, at, fact.raw)
        extras = event.metadata.model_extra or {}
        key = self._archive(archive_keys.request_key, at, event.event_id, event.event_id, rank, fact.raw)
        self.rows["runs"].append(
            {
                **_names(fact.correlation_id, event, _BY_REQUEST),
                "requested_at": at,
                "attempt": attempt_of(event.attempt),
                "graph": text(event.payload.graph),
                "source": text(event.source),
                "environment": event.metadata.environment,
                "user_id": identity(extras.get("user_id", extras.get("user"))),
                "tenant_id": identity(extras.get("tenant_id", extras.get("tenant"))),
                "thread_id": text(event.thread_id),
                "deadline": None if event.deadline is None else utc(event.deadline),
                "request_bytes": len(fact.raw),
                "request_archive_key": key,
                "request_rank": rank,
                "updated_at": at,
            }
        )
        self._event(fact.correlation_id, at, rank, "requested", attempt=event.attempt)

    def _result(self, fact: ResultFact) -> None:
        event = fact.event
        at = utc(event.timestamp)
        rank = result_rank(event, at, fact.raw)
        key = self._archive(archive_keys.result_key, at, event.correlation_id, event.correlation_id, rank, fact.raw)
        attempt = None if event.attempt is None else attempt_of(event.attempt)
        detail = event.error_detail
        usage = event.usage or {}
        result = json_text(event.result)
        # A payload that could not be had is not an empty one: there is a result, and it is not here.
        elsewhere = event.claim_check
        size = len(result.encode()) if elsewhere is None else elsewhere.size
        fits = elsewhere is None and (not self._archives or size <= self._inline_bytes)
        self.rows["runs"].append(
            {
                **_names(fact.correlation_id, event, _BY_RESULT),
                "status": event.status.value,
                "result_attempt": attempt,
                "result": result if fits else None,
                "result_bytes": size,
                "error": text(event.error),
                "error_type": None if detail is None else text(detail.type),
                "error_node": None if detail is None else text(detail.node),
                "error_retryable": None if detail is None else detail.retryable,
                "error_detail": None if detail is None else json_text(detail),
                "interrupts": None if event.interrupts is None else json_text(event.interrupts),
                "usage": None if event.usage is None else json_text(usage),
                "input_tokens": count(usage.get("input_tokens")),
                "output_tokens": count(usage.get("output_tokens")),
                "total_tokens": count(usage.get("total_tokens")),
                "cost": number(usage.get("cost")),
                "checkpoint_id": text(event.checkpoint_id),
                "started_at": None if event.started_at is None else utc(event.started_at),
                "finished_at": at,
                "duration_ms": event.duration_ms,
                **_execution(event.result.get("execution"), None if fits else self._inline_bytes),
                "result_archive_key": key,
                "result_rank": rank,
                "updated_at": at,
            }
        )
        node = None if detail is None else name(detail.node)
        told = None if event.error is None else json_text({"error": event.error[:_LONGEST_TOLD]})
        self._event(
            fact.correlation_id,
            at,
            rank,
            "result",
            attempt=attempt,
            node=node,
            status=event.status.value,
            duration_ms=event.duration_ms,
            data=told,
        )
        if node is not None:
            self.rows["steps"].append(broken_step(event, node, at))

    def _progress(self, fact: ProgressFact) -> None:
        event, data = fact.event, fact.event.payload.data
        at = utc(event.timestamp)
        node = name(data.get("node"))
        accepted = event.event_type is _ACCEPTED
        heartbeat = event.event_type is _HEARTBEAT
        begun = not accepted and (not heartbeat or node is not None)
        rank = progress_rank(event, at, fact.raw, begun=begun)
        worker = text(data.get("worker"))
        row = _names(fact.correlation_id, event, _BY_WORKER)
        row["last_heard_at"] = row["updated_at"] = at
        row["progress_attempt"] = attempt_of(event.attempt)
        row["progress_begun"] = begun
        row["worker"] = worker
        row["node"] = node
        row["heartbeat_interval"] = number(data.get("heartbeat_interval"))
        row["progress_rank"] = rank
        if accepted:
            row["accepted_at"] = at
        if begun:
            row["begun_at"] = at
        self.rows["runs"].append(row)
        if not heartbeat:
            kind = "accepted" if accepted else (text(data.get("kind")) or _NO_KIND)[:_LONGEST_KIND]
            key = None
            if kind == "custom" and tells_of_step(data.get("data")):
                key = self._archive(archive_keys.step_key, at, event.event_id, fact.correlation_id, rank, fact.raw)
            self._later.append((fact, kind, at, rank, node, worker, key))

    def _tell(
        self,
        fact: ProgressFact,
        kind: str,
        at: datetime,
        rank: str,
        node: str | None,
        worker: str | None,
        key: str | None,
    ) -> None:
        """A line of the timeline, and what it says of a step."""
        event, data = fact.event, fact.event.payload.data
        said = data.get("data")
        self._event(
            fact.correlation_id,
            at,
            rank,
            kind,
            attempt=event.attempt,
            node=node,
            step=small_count(data.get("step")),
            worker=worker,
            duration_ms=number(data.get("duration_ms")),
            data=None if said is None else json_text(said),
        )
        if kind == "node_finished" and node is not None:
            self.rows["steps"].append(finished_node(fact, node, at, rank))
        elif kind == "custom" and tells_of_step(said):
            step = counted_step(fact, said, at, rank, key)
            if step is not None:
                self.rows["steps"].append(step)
            self.rows["decision_events"].extend(decisions(fact, said, at, rank, key))

    def _event(
        self,
        correlation_id: UUID,
        at: datetime,
        rank: str,
        kind: str,
        *,
        attempt: int | None,
        node: str | None = None,
        step: int | None = None,
        worker: str | None = None,
        status: str | None = None,
        duration_ms: float | None = None,
        data: str | None = None,
    ) -> None:
        """A line of the timeline. The rank has the time and a digest of the message in it, so it tells the event from others."""
        digest = blake2b(f"{kind}\0{rank}".encode(), digest_size=16, key=correlation_id.bytes)
        self.rows["run_events"].append(
            {
                # One of the standard library's, which takes ten times as long to make.
                "event_key": pgproto.UUID(digest.digest()),
                "correlation_id": correlation_id,
                "at": at,
                "kind": kind,
                "attempt": attempt,
                "node": node,
                "step": step,
                "worker": worker,
                "status": status,
                "duration_ms": duration_ms,
                "data": data,
            }
        )

    def _archive(
        self,
        key_of: Callable[[datetime, UUID], str],
        at: datetime,
        name: UUID,
        correlation_id: UUID,
        rank: str,
        raw: bytes,
    ) -> str | None:
        if not self._archives:
            return None
        key = key_of(at, name)
        there = self.objects.get(key)
        if there is None or rank > there.rank:
            found = ArchiveObject.of(key, correlation_id, rank, raw)
            self.objects[key] = found
            self.rows["archive_objects"].append(
                {
                    "key": key,
                    "correlation_id": correlation_id,
                    "bytes": len(raw),
                    "sha256": found.sha256,
                    "rank": rank,
                }
            )
        return key


def _names(correlation_id: UUID, event: WorkflowEvent | WorkflowResultEvent, weight: int) -> Row:
    workflow_id, workflow_run_id = event.workflow_id, event.workflow_run_id
    return {
        "correlation_id": correlation_id,
        "workflow_id": text(workflow_id),
        "workflow_run_id": text(workflow_run_id),
        "name_rank": name_rank(weight, workflow_id, workflow_run_id),
    }


def _execution(block: object, longest: int | None) -> Row:
    """How a program went that the workflow ran; its outputs are cut at `longest` characters."""
    if not isinstance(block, dict):
        return {}
    seconds = number(block.get("duration"))
    stdout, stderr = text(block.get("stdout")), text(block.get("stderr"))
    return {
        "stdout": None if stdout is None else stdout[:longest],
        "stderr": None if stderr is None else stderr[:longest],
        "exit_code": count(block.get("exit_code")),
        "execution_ms": number(block.get("duration_ms", None if seconds is None else seconds * 1000)),
        "peak_memory_bytes": count(block.get("peak_memory_bytes")),
    }


def _invalid(fact: InvalidFact) -> Row:
    headers = [[key, None if value is None else b64encode(value).decode()] for key, value in fact.headers]
    return {
        **fact.place._asdict(),
        "error_type": text(fact.error_type),
        "error": text(fact.error),
        "correlation_id": fact.correlation_id,
        "key": fact.key,
        "headers": json_text(headers),
        "value": fact.value,
        "size": fact.size,
        "at": utc(fact.timestamp),
    }


def _dead_letter(fact: DeadLetterFact) -> Row:
    origin = fact.origin
    return {
        **fact.place._asdict(),
        "code": text(fact.code),
        "reason": text(fact.reason),
        "correlation_id": fact.correlation_id,
        "origin_topic": None if origin is None else text(origin.topic),
        "origin_partition": None if origin is None else small_count(origin.partition),
        "origin_offset": None if origin is None else count(origin.offset),
        "size": fact.size,
        "at": utc(fact.timestamp),
    }
