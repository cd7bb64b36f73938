"""What is tried again, for how long, and how loudly. The clock and the sleeping are tenacity's, replaced here."""

from __future__ import annotations

import logging
import math
import time

import pytest

from workflow_events.errors import BrokerUnavailableError, DeliveryError, TopicNotFoundError, TransportError
from workflow_events.retry import async_transport_retrying, transport_retrying


class Fails:
    """Fails some times, then answers; counts its calls."""

    def __init__(self, error: Exception, times: float) -> None:
        self.error = error
        self.times = times
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.times:
            raise self.error
        return "answer"


def test_a_passing_fault_is_tried_again_until_it_has_passed() -> None:
    flaky = Fails(BrokerUnavailableError("away"), times=3)

    assert transport_retrying(30).copy(sleep=lambda _: None)(flaky) == "answer"
    assert flaky.calls == 4


@pytest.mark.parametrize(
    "error", [TopicNotFoundError("none"), DeliveryError("unsure"), TransportError("odd"), ValueError("a mistake")]
)
def test_what_will_not_pass_is_raised_at_once(error: Exception) -> None:
    failing = Fails(error, times=math.inf)

    with pytest.raises(type(error)) as caught:
        transport_retrying(30)(failing)

    assert caught.value is error
    assert failing.calls == 1


@pytest.mark.parametrize("timeout", [0.3, 1.0])
def test_it_gives_up_in_time_with_the_last_error_and_uses_most_of_the_time(timeout: float) -> None:
    failing = Fails(BrokerUnavailableError("away"), times=math.inf)
    begun = time.monotonic()

    with pytest.raises(BrokerUnavailableError, match="away"):
        transport_retrying(timeout)(failing)

    assert timeout * 0.5 <= time.monotonic() - begun <= timeout + 5
    assert failing.calls >= 3


def test_no_time_means_one_try() -> None:
    failing = Fails(BrokerUnavailableError("away"), times=math.inf)

    with pytest.raises(BrokerUnavailableError):
        transport_retrying(0)(failing)

    assert failing.calls == 1


def test_waits_grow_and_are_capped() -> None:
    slept: list[float] = []
    flaky = Fails(BrokerUnavailableError("away"), times=60)

    transport_retrying(math.inf).copy(sleep=slept.append)(flaky)

    assert all(0.05 <= wait <= 5.0 for wait in slept)
    assert max(slept[:2]) <= 0.4
    assert max(slept[10:]) > 1.0


async def test_the_event_loop_is_not_blocked_while_waiting() -> None:
    flaky = Fails(BrokerUnavailableError("away"), times=2)

    async def ask() -> str:
        return flaky()

    assert await async_transport_retrying(10)(ask) == "answer"
    assert flaky.calls == 3


def test_an_outage_is_warned_about_and_does_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    flaky = Fails(BrokerUnavailableError("the broker is away"), times=100)

    transport_retrying(math.inf).copy(sleep=lambda _: None)(flaky)

    assert len(caplog.records) == 7  # after failures 1, 2, 4, 8, 16, 32 and 64
    assert "the broker is away" in caplog.records[0].getMessage()
    assert "failure 64" in caplog.records[-1].getMessage()
