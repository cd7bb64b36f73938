"""When a trigger may fire. The clock and what is seen of the task's process are given."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_integration.settling import Settling, TaskProcess, crowding
from workflow_events.testing.waiting import wait_until


def settling(*, visible: bool) -> Settling:
    return Settling(started=100.0, interval=5.0, margin=4.0, visible=visible)


class TestWhereTheProcessCannotBeSeen:
    def test_firing_waits_for_the_heartbeat_interval_and_the_margin_from_the_triggers_start(self) -> None:
        unseen = settling(visible=False)

        assert unseen.wait(100.0) == 9.0
        assert unseen.wait(106.5) == 2.5
        assert unseen.wait(109.0) == 0.0

    def test_what_its_number_means_here_is_not_looked_at(self) -> None:
        unseen = settling(visible=False)
        unseen.see(present=False, now=100.0)

        assert unseen.wait(108.0) == 1.0
        assert not unseen.is_watching


class TestWhereTheProcessCanBeSeen:
    def test_firing_waits_for_the_margin_from_when_the_process_was_gone(self) -> None:
        seen = settling(visible=True)
        seen.see(present=True, now=101.0)
        seen.see(present=False, now=101.5)

        assert seen.wait(101.5) == 4.0
        assert seen.wait(105.5) == 0.0

    def test_a_process_that_ends_late_on_a_loaded_machine_is_waited_for_beyond_the_interval(self) -> None:
        seen = settling(visible=True)
        seen.see(present=True, now=125.0)

        assert seen.is_watching
        assert seen.wait(125.0) > 0
        seen.see(present=False, now=130.0)
        assert seen.wait(133.0) == 1.0

    def test_the_margin_is_longer_on_a_crowded_machine_as_crowded_as_it_was_when_the_process_was_gone(self) -> None:
        seen = settling(visible=True)
        seen.see(present=True, now=101.0, crowding=6.0)
        seen.see(present=False, now=102.0, crowding=2.5)
        seen.see(present=False, now=103.0, crowding=6.0)

        assert seen.wait(102.0) == 10.0
        assert seen.wait(112.0) == 0.0

    def test_only_the_first_disappearance_counts(self) -> None:
        seen = settling(visible=True)
        seen.see(present=False, now=101.0)
        seen.see(present=False, now=104.0)

        assert seen.wait(105.0) == 0.0
        assert not seen.is_watching

    def test_a_number_that_never_disappears_is_given_up_for_another_process(self) -> None:
        seen = settling(visible=True)
        seen.see(present=True, now=159.0)

        assert seen.wait(160.0) == 0.0

    def test_a_long_interval_and_its_margin_are_waited_for_all_the_same(self) -> None:
        seen = Settling(started=100.0, interval=90.0, margin=4.0, visible=True)
        seen.see(present=True, now=193.0)

        assert seen.wait(193.0) == 1.0


class TestCrowding:
    @pytest.mark.parametrize(
        "load_per_processor, slower", [(0.0, 1.0), (1.9, 1.0), (3.0, 1.5), (8.0, 4.0), (100.0, 6.0)]
    )
    def test_it_follows_the_load_of_each_processor(
        self, load_per_processor: float, slower: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        monkeypatch.setattr(os, "getloadavg", lambda: (load_per_processor * processors, 0.0, 0.0))

        assert crowding() == pytest.approx(slower)

    @pytest.mark.parametrize(
        "may_use, there_are, processors", [(3, 64, 3), (None, 5, 5), (None, None, 1)], ids=["some", "all", "unknown"]
    )
    def test_it_counts_the_processors_that_it_may_use_as_far_as_the_platform_tells(
        self, may_use: int | None, there_are: int | None, processors: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "getloadavg", lambda: (6.0 * processors, 0.0, 0.0))
        monkeypatch.setattr(os, "cpu_count", lambda: there_are)
        if may_use is None:
            monkeypatch.delattr(os, "sched_getaffinity", raising=False)
        else:
            monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(may_use)), raising=False)

        assert crowding() == pytest.approx(3.0)

    def test_a_platform_that_does_not_tell_is_taken_for_a_quiet_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(os, "getloadavg")

        assert crowding() == 1.0


class TestTaskProcess:
    def test_this_process_is_this_one(self) -> None:
        process = TaskProcess.current()

        assert process.is_this_one
        assert process.is_present()
        assert TaskProcess(**process.to_json()) == process

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux names process namespaces")
    def test_a_process_is_visible_in_its_own_namespace_only(self) -> None:
        here = TaskProcess.current()

        assert here.is_visible
        assert Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() in (here.namespace or "")
        assert not TaskProcess(here.pid, "elsewhere").is_visible
        assert not TaskProcess(here.pid, None).is_visible

    def test_a_process_stays_present_as_a_zombie_until_its_supervisor_has_waited_for_it(self) -> None:
        child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.read()  # it has ended, or is about to; nobody has waited for it
        process = TaskProcess(child.pid, None)

        present_before = process.is_present()
        child.wait()
        child.stdout.close()

        assert present_before
        wait_until(lambda: not process.is_present(), 5)

    def test_to_look_for_a_process_does_nothing_to_it(self) -> None:
        # Given a process that ignores no signal, whatever those who started it do
        heed = "import signal; [signal.signal(one, signal.SIG_DFL) for one in range(1, 16) if one not in (9, 2)]"
        child = subprocess.Popen(
            [sys.executable, "-c", f"{heed}; print(); input()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        assert child.stdout is not None
        assert child.stdout.read(1)

        assert TaskProcess(child.pid, None).is_present()

        child.communicate(b"end\n", timeout=20)
        assert child.returncode == 0

    def test_another_users_process_is_present(self) -> None:
        if os.geteuid() == 0:
            pytest.skip("root may signal every process")
        assert TaskProcess(1, None).is_present()
