"""Which processes belong to a server, and a guard that ends them when their starter dies.

A server forks: Airflow's scheduler has executor workers, PostgreSQL puts every backend in a session of its own. Ending the
leader alone leaves the others behind, so a server's tree is its session, its process group and all descendants (the idea
of Jenkins' ``ProcessTreeKiller``). Linux tells these through ``/proc``; elsewhere only the process group is known.

Run as a script, this file is the *guard*. It reads ``+PID`` and ``-PID`` lines from standard input, and at the end of
input (its starter has exited, or was killed with ``kill -9``) it ends every tree that is still on its list. The script
imports nothing but the standard library, so that it is up in a few milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

_PROC = Path("/proc")


def members(leader: int) -> set[int]:
    """Return the ids of the living processes that belong to the server led by process `leader`.

    The leader itself is among them while it lives. A dead process that nobody has reaped yet (a zombie) is not. Take the
    set before a signal is sent: a child whose parent has died is not a descendant any more.
    """
    if not _PROC.joinpath("self", "stat").exists():
        return {leader} if _group_exists(leader) else set()
    children: dict[int, list[int]] = {}
    found = set()
    for pid, state, parent, group, session in _process_table():
        children.setdefault(parent, []).append(pid)
        if leader in (pid, group, session) and state not in "ZX":
            found.add(pid)
    queue = [leader, *found]
    while queue:
        for child in children.get(queue.pop(), []):
            if child not in found:
                found.add(child)
                queue.append(child)
    return found


def alive(pids: Iterable[int]) -> set[int]:
    """Return those of `pids` that still run; zombies do not count."""
    wanted = set(pids)
    if not _PROC.joinpath("self", "stat").exists():
        return {pid for pid in wanted if _group_exists(pid)}
    return {pid for pid, state, *_ in _process_table() if pid in wanted and state not in "ZX"}


def send(leader: int, pids: Iterable[int], number: signal.Signals) -> None:
    """Send the signal to the group of `leader` and to every process of `pids` outside that group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(pid) != leader:
                os.kill(pid, number)


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _process_table() -> Iterable[tuple[int, str, int, int, int]]:
    """Yield ``(pid, state, parent, process group, session)`` of all processes; see proc(5), ``/proc/pid/stat``."""
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = entry.joinpath("stat").read_text(errors="replace")
        except OSError:
            continue  # it ended while we looked
        # The command's name is in parentheses and may itself hold spaces and parentheses.
        state, parent, group, session = stat[stat.rindex(")") + 2 :].split()[:4]
        yield int(entry.name), state, int(parent), int(group), int(session)


def _guard() -> None:
    """Keep the list of leaders until the input ends; then end what is still on it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the end of the input ends the guard
    leaders: set[int] = set()
    for line in sys.stdin:
        pid = int(line[1:])
        if line.startswith("+"):
            leaders.add(pid)
        else:
            leaders.discard(pid)
    for leader in leaders:
        send(leader, members(leader), signal.SIGKILL)


if __name__ == "__main__":
    _guard()
