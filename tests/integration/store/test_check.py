"""Each role, with each dependency missing in turn: the check names it, who needs it, and what to set; and nothing else fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from result_store.assembly import WIRING, Store
from result_store.database import migrations
from result_store.roles import COMMANDS, Role
from result_store.settings import StoreSettings
from result_store.topics import ensure_store_topics
from result_store.wiring import Outcome, Wiring
from tests.integration.store.conftest import Backend
from workflow_events import KafkaSettings
from workflow_events.testing.processes import free_port

SECRET: Final = "hunter2"

Broken = tuple[KafkaSettings, StoreSettings]


def away(scheme: str, path: str = "") -> str:
    """A URL with a password at which nobody listens."""
    return f"{scheme}://user:{SECRET}@127.0.0.1:{free_port()}{path}"


def kafka(**changes: Any) -> Callable[[Backend, Path], Broken]:
    return lambda backend, _: (backend.kafka.replace(**changes), backend.settings)


def store(**changes: Any) -> Callable[[Backend, Path], Broken]:
    return lambda backend, _: (backend.kafka, backend.with_settings(**changes))


def archive_in_a_file(backend: Backend, folder: Path) -> Broken:
    (folder / "file").write_text("no folder")
    return backend.kafka, backend.with_settings(archive=str(folder / "file" / "archive"))


PROCESSING = {Role.ALL, Role.PROCESSOR, Role.REPLAY}
SERVING = {Role.ALL, Role.API}

MISSING: dict[str, tuple[str, str, set[Role], Callable[[Backend, Path], Broken]]] = {
    "Kafka": (
        "brokers",
        "KAFKA_BOOTSTRAP_SERVERS",
        PROCESSING | SERVING,
        lambda backend, _: (
            backend.kafka.replace(bootstrap_servers=f"127.0.0.1:{free_port()}", connect_timeout=0.5),
            backend.settings,
        ),
    ),
    "the topic of results": (
        "event topics",
        "KAFKA_WORKFLOW_RESULTS_TOPIC",
        PROCESSING,
        kafka(workflow_results_topic="no-such-topic"),
    ),
    "the stored topic": (
        "stored topic",
        "RESULT_STORE_STORED_TOPIC",
        PROCESSING | SERVING,
        store(stored_topic="no-such-topic"),
    ),
    "the store of large payloads": (
        "claim checks",
        "KAFKA_CLAIM_CHECK_STORE",
        PROCESSING,
        lambda backend, folder: (
            backend.kafka.replace(claim_check_store=archive_in_a_file(backend, folder)[1].archive),
            backend.settings,
        ),
    ),
    "PostgreSQL": (
        "database",
        "RESULT_STORE_DATABASE_URL",
        set(Role) - {Role.MIGRATE},
        lambda backend, _: (backend.kafka, backend.with_settings(database_url=away("postgresql", "/results"))),
    ),
    "a place for migrations": (
        "migrations",
        "RESULT_STORE_DATABASE_URL",
        {Role.MIGRATE},
        lambda backend, _: (backend.kafka, backend.with_settings(database_url=away("postgresql", "/results"))),
    ),
    "the schema": (
        "database",
        "result-store migrate",
        set(Role) - {Role.MIGRATE},
        lambda backend, folder: (
            backend.kafka,
            backend.with_settings(database_url=f"sqlite:///{folder / 'without-tables.db'}"),
        ),
    ),
    "the archive": ("archive", "RESULT_STORE_ARCHIVE", PROCESSING | SERVING, archive_in_a_file),
    "Redis": (
        "cache",
        "RESULT_STORE_REDIS_URL",
        PROCESSING | SERVING,
        lambda backend, _: (backend.kafka, backend.with_settings(redis_url=away("redis", "/0"))),
    ),
    "ClickHouse": (
        "clickhouse",
        "RESULT_STORE_CLICKHOUSE_URL",
        PROCESSING,
        lambda backend, _: (backend.kafka, backend.with_settings(clickhouse_url=away("http", "/default"))),
    ),
    "ClickHouse, for questions": (
        "questions",
        "RESULT_STORE_CLICKHOUSE_URL",
        SERVING | {Role.REPORT},
        lambda backend, _: (backend.kafka, backend.with_settings(clickhouse_url=away("http", "/default"))),
    ),
    "a rate that is one": ("api", "RESULT_STORE_RATE_LIMIT", SERVING, store(rate_limit="often")),
}


@pytest.fixture
def ready(backend: Backend) -> Backend:
    """A backend with all that the store needs: topics and tables."""
    ensure_store_topics(backend.kafka, backend.settings)
    migrations.upgrade(backend.settings)
    return backend


async def test_every_role_finds_all_that_it_needs(ready: Backend) -> None:
    # Given a backend with topics and tables
    for role in Role:
        # When a role is checked
        findings = await WIRING.check(role, Store(ready.kafka, ready.settings, role))
        # Then all its parts are well
        assert findings
        assert {finding.part: finding.detail for finding in findings if finding.outcome is not Outcome.OK} == {}, role


@pytest.mark.parametrize("backend", ["embedded"], indirect=True)
async def test_every_part_is_built_of_what_it_says_it_needs_and_no_more(ready: Backend) -> None:
    for name in WIRING.parts:
        # Given a role that needs one part alone, so that no other part's needs hide what this one did not say
        alone = Wiring(WIRING.parts.values(), {Role.ALL: (name,)})
        # When it is checked, then all is well
        findings = await alone.check(Role.ALL, Store(ready.kafka, ready.settings, Role.ALL))
        assert {finding.part: finding.detail for finding in findings if finding.outcome is not Outcome.OK} == {}, name


@pytest.mark.parametrize("backend", ["embedded"], indirect=True)
@pytest.mark.parametrize("missing", MISSING)
async def test_what_is_missing_is_named_with_its_chain_and_its_variable_by_who_needs_it_alone(
    missing: str, ready: Backend, tmp_path: Path
) -> None:
    # Given a backend that has everything but one thing
    part, variable, needed_by, broken = MISSING[missing]
    for role in Role:
        kafka_settings, settings = broken(ready, tmp_path)
        # When a role is checked
        findings = {
            finding.part: finding for finding in await WIRING.check(role, Store(kafka_settings, settings, role))
        }
        # Then those who need it are told so, with the chain and what to set, and without the password
        if role not in needed_by:
            assert part not in findings
            continue
        failed = findings[part]
        assert failed.outcome is Outcome.FAILED
        assert variable in failed.remedy
        assert failed.chains
        for chain in failed.chains:
            assert (chain[0], chain[-1]) == (COMMANDS[role], part)
        assert SECRET not in f"{failed} {failed.to_json()}"
        # And nothing else is said to be at fault: what stands on it was not tried
        for other in findings.values():
            if other.outcome is Outcome.FAILED:
                assert (other.part == part) or missing.startswith("ClickHouse")
            elif other.outcome is Outcome.SKIPPED:
                assert other.detail.startswith("needs ")
            for chain in failed.chains:
                if other.part in chain[1:-1]:
                    assert other.outcome is Outcome.SKIPPED
