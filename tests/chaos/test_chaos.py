"""The short chaos session of CI: one seed, real processes, everything counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.chaos.report import write_json
from tests.chaos.schedule import SHORT, schedule
from tests.chaos.session import run_session
from workflow_events.testing.plugin import _unavailable
from workflow_events.testing.unavailable import PartUnavailableError

SEED = 4


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_while_brokers_workers_requester_and_network_fail_each_request_gets_its_one_right_answer(
    tmp_path: Path,
) -> None:
    # Given three brokers, workers behind a network of ours, and a requester
    # When what the seed says goes wrong
    try:
        outcome = run_session(SEED, SHORT, tmp_path, timeout=100, workers=2)
    except PartUnavailableError as missing:
        _unavailable(str(missing))
    write_json([outcome], tmp_path / "chaos.json")
    told = (tmp_path / "chaos.json").read_text()
    # Then all of it did go wrong
    assert sorted(one.disaster.at for one in outcome.befallen) == sorted(one.at for one in schedule(SEED, SHORT)), told
    # And each request has its one right answer, and no finished node ran again
    ledger = json.loads(told)[0]["ledger"]
    kept = {name: ledger[name] for name in ("asked", "right", "lost", "wrong", "double", "ran_again")}
    assert kept == {"asked": 200, "right": 200, "lost": 0, "wrong": 0, "double": 0, "ran_again": 0}, told
    # And the count rests on every node of every request
    assert ledger["executions"] >= 3 * 200
    assert outcome.ended_by_themselves == {}, told
