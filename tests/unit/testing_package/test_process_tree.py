from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from workflow_events.testing import process_tree
from workflow_events.testing.processes import (
    ServerProcess,
    ServerStartError,
    accepts_connections,
    free_port,
)
from workflow_events.testing.waiting import wait_until

# A server which starts a child in a session of the child's own, as PostgreSQL does, and says so.
FORKING_SERVER = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("child", child.pid, flush=True)
time.sleep(600)
"""

# One which does not listen to reason.
STUBBORN_SERVER = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""


def python_server(tmp_path: Path, code: str) -> ServerProcess:
    return ServerProcess("the server", [sys.executable, "-c", code], log_file=tmp_path / "server.log")


def child_of(server: ServerProcess) -> int:
    server.wait_ready(lambda: server.log_text().endswith("\n"), 10)
    return int(server.log_text().split()[1])


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_ending_a_server_ends_its_children_in_other_sessions_too(tmp_path: Path, end: str) -> None:
    # Given a server with a child in another session
    server = python_server(tmp_path, FORKING_SERVER)
    server.start()
    leader, child = server.pid, child_of(server)
    assert process_tree.members(leader) == {leader, child}
    # When it is ended
    getattr(server, end)()
    # Then both are gone
    assert not server.is_running
    assert process_tree.alive({leader, child}) == set()


def test_a_server_that_ignores_the_signal_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    with python_server(tmp_path, STUBBORN_SERVER) as server:
        server.wait_ready(lambda: "ready" in server.log_text(), 10)
        leader = server.pid
        server.stop(grace=0.2)
        assert process_tree.alive({leader}) == set()


def test_a_server_can_be_started_again_and_shows_only_the_log_of_its_last_start(tmp_path: Path) -> None:
    server = python_server(tmp_path, STUBBORN_SERVER)
    for _ in range(2):
        with server:
            server.wait_ready(lambda: "ready" in server.log_text(), 10)
            assert server.log_text() == "ready\n"
            server.kill()


def test_a_server_that_ends_while_it_starts_is_an_error_with_its_log(tmp_path: Path) -> None:
    server = python_server(tmp_path, "import sys; sys.exit('no such setting')")
    server.start()
    with pytest.raises(ServerStartError, match=r"exit code 1.*\n.*\nno such setting"):
        server.wait_ready(lambda: False, 10)
    assert not server.is_running


def test_a_server_that_is_not_ready_in_time_is_ended(tmp_path: Path) -> None:
    server = python_server(tmp_path, STUBBORN_SERVER)
    server.start()
    leader = server.pid
    with pytest.raises(ServerStartError, match=r"not ready within 0\.1 s"):
        server.wait_ready(lambda: False, 0.1)
    assert process_tree.alive({leader}) == set()


def test_a_starter_that_is_killed_leaves_no_server_behind(tmp_path: Path) -> None:
    # Given a process that has started a server, which has a child
    code = f"""
import pathlib, sys, time
from workflow_events.testing.processes import ServerProcess
server = ServerProcess("s", [sys.executable, "-c", {FORKING_SERVER!r}], log_file=pathlib.Path({str(tmp_path / "server.log")!r}))
server.start()
server.wait_ready(lambda: server.log_text().endswith("\\n"), 10)
print(server.pid, server.log_text().split()[1], flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        tree = {int(pid) for pid in starter.stdout.readline().split()}
        assert process_tree.alive(tree) == tree
        # When it is killed, so that none of its own code runs
        starter.kill()
    # Then its guard ends what it had started
    wait_until(lambda: not process_tree.alive(tree), 10)


def test_an_exit_without_a_stop_leaves_no_server_behind(tmp_path: Path) -> None:
    code = f"""
import pathlib
from workflow_events.testing.processes import ServerProcess
server = ServerProcess("s", ["sleep", "600"], log_file=pathlib.Path({str(tmp_path / "server.log")!r}))
server.start()
print(server.pid)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process_tree.alive({int(done.stdout)}) == set()


def test_ports_are_free_and_not_given_twice() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    assert not any(accepts_connections(port) for port in ports)


def test_a_wait_ends_with_what_the_condition_returned() -> None:
    values = iter([None, 0, "", "there"])
    assert wait_until(lambda: next(values), 5, interval=0.001) == "there"


def test_a_wait_that_is_over_says_what_it_waited_for() -> None:
    with pytest.raises(TimeoutError, match=r"not within 0\.01 s: the end of the world"):
        wait_until(lambda: False, 0.01, interval=0.001, what=lambda: "the end of the world")


def test_what_a_condition_raises_is_passed_on() -> None:
    def broken() -> bool:
        raise LookupError("no such thing")

    with pytest.raises(LookupError, match="no such thing"):
        wait_until(broken, 5)


def test_signals_to_a_process_that_is_gone_are_no_error() -> None:
    with subprocess.Popen(["true"], start_new_session=True) as gone:
        pass
    process_tree.send(gone.pid, {gone.pid}, signal.SIGTERM)
    assert os.getpid() not in process_tree.members(gone.pid)
