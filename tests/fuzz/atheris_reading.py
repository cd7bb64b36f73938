"""Coverage-guided fuzzing of everything that reads bytes: ``make fuzz-atheris``.

Where Hypothesis knows what a message looks like, libFuzzer (through atheris) knows which bytes lead to code not seen yet. An
exception other than a refusal ends it, and leaves the input in a file.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import atheris  # it has no types, and installs on Linux only

with atheris.instrument_imports(include=["workflow_events", "langgraph_integration"]):
    from aiokafka.structs import ConsumerRecord

    from langgraph_integration.dead_letters import Refusal, answer_to_invalid, dead_letter, read_request
    from langgraph_integration.start_marks import StartMarks
    from workflow_events import InvalidEventError, wire
    from workflow_events.dead_letters import read_letters

MAX_BYTES = 50_000
NAMES = ("correlation-id", "reply-topic", "reply-partition", "dead-letter-note", "dead-letter-topic", "x")


def one_input(data: bytes) -> None:
    """Read one message in every way there is."""
    found = atheris.FuzzedDataProvider(data)
    headers = tuple((NAMES[found.ConsumeIntInRange(0, 5)], found.ConsumeBytes(40)) for _ in range(2))
    value = found.ConsumeBytes(found.remaining_bytes())
    record: Any = ConsumerRecord("t", 0, 0, 0, 0, None, value, None, 0, 0, headers)
    try:
        read_request(value, max_bytes=MAX_BYTES)
    except Refusal as refusal:
        letter = dead_letter(record, refusal, topic="t.dlq")
        read_letters([ConsumerRecord("t.dlq", 0, 0, 0, 0, None, letter.value, None, 0, 0, tuple(letter.headers))])
        answer = answer_to_invalid(record, refusal)
        if answer is not None:
            wire.result_message(answer, topic="r")
    with contextlib.suppress(InvalidEventError):
        wire.decode_result(value)
    wire.find_correlation_key(headers, value)
    wire.return_address_in(headers)
    read_letters([record])
    StartMarks.read(value.decode(errors="replace"), floor=0)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
