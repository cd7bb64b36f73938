from __future__ import annotations

import signal
import threading

import pytest

from workflow_events.testing.interruption import uninterrupted


def test_an_interrupt_comes_when_the_block_is_over_and_not_within() -> None:
    steps = []

    def interrupted_work() -> None:
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            steps.append("after the signal")
        steps.append("never reached")

    with pytest.raises(KeyboardInterrupt):
        interrupted_work()

    assert steps == ["after the signal"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_block_that_fails_puts_the_handlers_back() -> None:
    with pytest.raises(RuntimeError, match="broken"), uninterrupted():
        raise RuntimeError("broken")

    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_in_another_thread_nothing_is_held() -> None:
    seen = []

    def run() -> None:
        with uninterrupted():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()

    assert seen == [signal.default_int_handler]
