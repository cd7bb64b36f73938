"""What is told of a run, what is dropped first, and what a repeated request is answered with."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from langgraph_integration.outbox import Outbox
from langgraph_integration.progress_events import MAX_CUSTOM_BYTES, Teller, Told, new_worker_id, plain_custom
from langgraph_integration.recent_answers import RecentAnswers
from workflow_events import EventType, ResultStatus, WorkflowEvent, WorkflowResultEvent
from workflow_events.wire import about_message, decode_event

REQUEST = WorkflowEvent(
    event_type=EventType.WORKFLOW_TRIGGERED,
    source="airflow",
    workflow_id="w",
    workflow_run_id="r",
    attempt=3,
    thread_id="t",
)


@pytest.mark.parametrize("thread_id", [None, "t"])
@pytest.mark.parametrize("event_type", [EventType.WORKFLOW_PROGRESS, EventType.WORKFLOW_ACCEPTED])
def test_what_is_told_is_the_message_of_an_event_that_says_so(event_type: EventType, thread_id: str | None) -> None:
    # Given something to tell of a request
    request = REQUEST.model_copy(update={"thread_id": thread_id})
    data = {"kind": "node_started", "node": 'ä "quoted" \n', "step": 1, "part": [1.5, None]}
    message = Teller(request, "me").say(event_type, data).message(topic="p")
    # When it is read
    said = decode_event(message.value)
    # Then it says whose it is, and has an id of its own
    assert (said.workflow_id, said.workflow_run_id, said.attempt, said.thread_id) == ("w", "r", 3, thread_id)
    assert (said.source, said.event_type) == ("langgraph", event_type)
    assert said.event_id != request.event_id
    assert said.payload.data == {"correlation_id": str(request.event_id), "worker": "me", **data}
    # And it is what is made of such an event the long way round, to the byte
    assert message == about_message(said, topic="p", correlation_id=request.event_id)


def test_no_two_workers_have_one_name() -> None:
    assert new_worker_id() != new_worker_id()


class Rude:
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "value, passed_on",
    [
        ({"a": [1, None]}, {"a": [1, None]}),
        (
            "x" * (MAX_CUSTOM_BYTES + 1),
            {"left_out": f"it has {MAX_CUSTOM_BYTES + 3} bytes, and 16384 at most are passed on"},
        ),
        (object(), {"left_out": "it has no plain JSON form (UnserializableError)"}),
    ],
)
def test_a_graphs_own_stream_is_passed_on_as_plain_json_of_bounded_size(value: object, passed_on: object) -> None:
    assert plain_custom(value) == passed_on


def test_an_object_that_breaks_when_it_is_looked_at_does_not_break_the_run() -> None:
    assert "left_out" in str(plain_custom(Rude()))


def test_a_text_without_utf8_form_is_told_to_nobody() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        Teller(REQUEST, "me").say(EventType.WORKFLOW_PROGRESS, {"node": "\ud800"}).message(topic="p")


def chatter() -> Told:
    return Teller(REQUEST, "me").say(EventType.WORKFLOW_PROGRESS, {})


def heartbeat() -> Told:
    return Teller(REQUEST, "me").say(EventType.WORKFLOW_HEARTBEAT, {}, essential=True)


async def test_chatter_cannot_crowd_out_heartbeats() -> None:
    # Given an outbox that nobody empties
    outbox = Outbox(most=4)
    # When more comes than it holds, then chatter gets half of it, and heartbeats all
    assert [outbox.offer(chatter()) for _ in range(3)] == [True, True, False]
    assert [outbox.offer(heartbeat()) for _ in range(3)] == [True, True, False]
    # And what was dropped is counted
    assert (len(outbox), outbox.dropped) == (4, 2)
    outbox.drop_all()
    assert (len(outbox), outbox.dropped) == (0, 6)


async def test_what_waits_comes_out_in_its_order() -> None:
    outbox, items = Outbox(most=10), [chatter(), heartbeat(), chatter()]
    for item in items:
        outbox.offer(item)
    await outbox.some()
    assert [outbox.get_nowait() for _ in range(4)] == [*items, None]


def answer(**fields: Any) -> WorkflowResultEvent:
    return WorkflowResultEvent.model_validate(
        {"correlation_id": REQUEST.event_id, "workflow_id": "w", "workflow_run_id": "r", "attempt": 1, **fields}
    )


def test_a_success_is_remembered_for_any_attempt() -> None:
    answers = RecentAnswers()
    answers.keep(answer(result={"n": 1}), 100)
    again = answers.to(REQUEST)
    assert again is not None
    assert (again.result, again.attempt) == ({"n": 1}, 3)


@pytest.mark.parametrize(
    "fields",
    [
        {"status": ResultStatus.ERROR},
        {"status": ResultStatus.CANCELLED},
        {"checkpoint_id": "c"},
        {"correlation_id": uuid4()},
    ],
)
def test_what_may_be_asked_again_or_is_remembered_elsewhere_is_not_kept(fields: dict[str, Any]) -> None:
    answers = RecentAnswers()
    answers.keep(answer(**fields), 100)
    assert answers.to(REQUEST) is None


def test_the_memory_of_answers_is_bounded_in_bytes() -> None:
    answers = RecentAnswers(max_bytes=10_000)
    answers.keep(answer(), 3000)
    answers.keep(answer(), 3000)  # the same once more takes no more room
    assert answers.size == 5000
    answers.keep(answer(correlation_id=uuid4()), 3000)
    assert answers.to(REQUEST) is not None
    answers.keep(answer(correlation_id=uuid4()), 3000)
    assert answers.to(REQUEST) is None
    assert answers.size == 10_000
