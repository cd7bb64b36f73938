"""The poller on a topic that others fill: plain clients, strangers and rubbish."""

from __future__ import annotations

import json
import random
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from kafka import KafkaProducer

from airflow_integration import WorkflowResultPoller
from workflow_events import KafkaSettings
from workflow_events.identifiers import new_event_id

RESULTS, STRANGERS, MALFORMED = 1_000, 50_000, 1_000


def bare(correlation_id: UUID, number: int) -> bytes:
    """A result as a client writes it that has read nothing but the contract's list of fields."""
    body: dict[str, Any] = {
        "correlation_id": str(correlation_id),
        "workflow_id": "by_hand",
        "workflow_run_id": "manual__1",
        "result": {"number": number},
        "status": "success",
        "timestamp": datetime.now(tz=UTC).isoformat(),
        "error": None,
    }
    return json.dumps(body).encode()


def rubbish(chance: random.Random) -> bytes:
    return chance.choice(
        [b"", b"{", b"null", b"[]", b"\x00\xff\xfe", b'{"correlation_id": 3}', b'{"correlation_id": "x"', b"[" * 500]
    )


@pytest.mark.timeout(300)
def test_a_thousand_bare_results_published_before_the_poller_starts_are_all_found_by_ids_of_both_kinds(
    kafka_settings: KafkaSettings,
) -> None:
    # Given 1,000 results for ids of each kind: bare JSON bodies, random keys, no headers, among strangers and malformed messages
    chance = random.Random(20261121)
    ids = {make_id.__name__: [make_id() for _ in range(RESULTS)] for make_id in (new_event_id, uuid4)}
    values = [
        *(bare(correlation_id, number) for kind in ids.values() for number, correlation_id in enumerate(kind)),
        *(bare(uuid4(), -1) for _ in range(STRANGERS)),
        *(rubbish(chance) for _ in range(MALFORMED)),
    ]
    chance.shuffle(values)
    topic = kafka_settings.workflow_results_topic
    with closing(KafkaProducer(bootstrap_servers=kafka_settings.bootstrap_servers, linger_ms=20)) as producer:
        for value in values:
            producer.send(topic, value=value, key=chance.randbytes(4) if chance.random() < 0.8 else None)
        producer.flush(timeout=120)
    for name, kind in ids.items():
        # When a poller that starts now looks for each of a kind, in any order
        wanted = list(enumerate(kind))
        chance.shuffle(wanted)
        with WorkflowResultPoller(kafka_settings.bootstrap_servers, topic, timeout=60) as poller:
            found = {number: poller.poll_for_result(correlation_id) for number, correlation_id in wanted}
        # Then each is found, and is its own
        assert sum(result is not None for result in found.values()) == RESULTS, name
        for number, correlation_id in enumerate(kind):
            result = found[number]
            assert result is not None, name
            assert result["correlation_id"] == str(correlation_id)
            assert result["result"] == {"number": number}
            assert (result["status"], result["error"]) == ("success", None)


def test_what_does_not_come_is_none_after_the_timeout(kafka_settings: KafkaSettings) -> None:
    topic = kafka_settings.workflow_results_topic
    with WorkflowResultPoller(kafka_settings.bootstrap_servers, topic, timeout=0.5) as poller:
        assert poller.poll_for_result(new_event_id()) is None
