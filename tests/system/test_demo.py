"""``make demo`` itself: the very command, in a process of its own, to its end and interrupted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from demo.inventory import installed
from workflow_events.testing.waiting import wait_until

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path("/proc/self/environ").exists(), reason="only /proc tells which processes a demo left behind"
    ),
]

ROOT = Path(__file__).parents[2]


def start_demo(folder: Path, *options: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV_CORE_", "COVERAGE_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "demo", "--reports", str(folder), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env={
            **environment,
            "PYTHONPATH": f"dags{os.pathsep}{ROOT}",
            "TMPDIR": str(folder),
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        },
        start_new_session=True,
    )


def still_running(folder: Path) -> list[str]:
    """The command lines of the living processes that were started with this demo's environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = entry.joinpath("environ").read_bytes()
            command = entry.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"TMPDIR={folder}".encode() in environment.split(b"\0"):
            found.append(command)
    return found


@contextmanager
def ended_at_last(demo: subprocess.Popen[str]) -> Iterator[None]:
    """Leave no demo behind, whatever becomes of the test."""
    try:
        yield
    finally:
        if demo.poll() is None:
            demo.terminate()
            demo.communicate()


def lines_until(demo: subprocess.Popen[str], wanted: str) -> str:
    """What the demo says, up to a line that holds something."""
    assert demo.stdout is not None
    said = ""
    for line in demo.stdout:
        said += line
        if wanted in line:
            return said
    demo.wait()
    raise AssertionError(f"the demo ended without saying {wanted!r}:\n{said}")


def see_the_audit(store: httpx.Client, names: list[str]) -> None:
    """The page of a demo with three requests has all of it: one batch, each request's way, and every verdict."""
    batches = re.findall(r'href="(/batch\?id=[^"]+)"', store.get("/batches").text)
    assert len(batches) == 1
    batch = store.get(batches[0]).text
    assert re.search(r"100 %</b>\s+of 3 requests have come to an end", batch)
    audited: list[str] = []
    for run in re.findall(r'href="(/runs/[0-9a-f-]{36})"', batch):
        page = store.get(run).text
        for milestone in ("Requested", "Accepted by a worker", "The graph begins", "Node has ended", "Result"):
            assert f"<b>{milestone}</b>" in page
        assert "audit_distribution" in page
        result = store.get(f"{run}/archive/result").json()["result"]
        audited += [verdict["key"] for verdict in result["verdicts"]]
    assert sorted(audited) == names


def test_every_installed_distribution_gets_its_verdict_and_nothing_is_left_behind(tmp_path: Path) -> None:
    # Given a demo with a result store, whose page stays when the audit is done
    demo = start_demo(tmp_path, "--chunks", "3", "--store", "--hold")
    with ended_at_last(demo):
        said = lines_until(demo, "Ctrl-C closes it.")
        found = re.search(r"request by request: (http://\S+)", said)
        assert found is not None, said
        names = list(installed())

        # When somebody looks at the page, Airflow and the worker being gone, then it shows the whole audit
        with httpx.Client(base_url=found[1], timeout=30.0, trust_env=False) as store:
            see_the_audit(store, names)

        # When it is closed, then it ends as a demo that went well
        demo.send_signal(signal.SIGINT)
        rest, _ = demo.communicate()
    said += rest
    assert demo.returncode == 0, said
    report = json.loads((tmp_path / "dependency-audit.json").read_text())
    assert [verdict["key"] for verdict in report["verdicts"]] == names
    assert f"{len(names)} distributions, each with exactly one verdict" in said
    assert "3 requests, 3 results" in said
    assert "3 success; the link of audit[0] opens http://" in " ".join(said.split())  # the console breaks lines
    assert "deferred" in said
    page = (tmp_path / "dependency-audit.html").read_text()
    assert page.count("<tr data-decision=") == len(names)
    assert still_running(tmp_path) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dependency-audit.html", "dependency-audit.json"]


@pytest.mark.parametrize("number,code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_demo_stops_all_that_it_started(tmp_path: Path, number: signal.Signals, code: int) -> None:
    demo = start_demo(tmp_path)
    wait_until(
        lambda: any("airflow" in command and "scheduler" in command for command in still_running(tmp_path)),
        120,
        what="Airflow's scheduler to start",
    )

    demo.send_signal(number)
    said, _ = demo.communicate()

    assert demo.returncode == code, said
    assert "Stop everything" in said
    assert still_running(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
