"""What a figure was taken on: the machine, the versions, the commit, the date."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from workflow_events.errors import ConfigurationError
from workflow_events.local_broker import broker_command
from workflow_events.testing.kafka_distribution import DEFAULT_VERSION, java_program
from workflow_events.testing.unavailable import PartUnavailableError

__all__ = ["commit", "machine", "now", "versions"]

_PACKAGES = (
    "workflow-events",
    "aiokafka",
    "kafka-python",
    "confluent-kafka",
    "pydantic",
    "langgraph",
    "apache-airflow-core",
    "apache-airflow-providers-apache-kafka",
)


def now() -> str:
    """The time in UTC, in seconds."""
    return datetime.now(tz=UTC).isoformat(timespec="seconds")


def commit() -> str:
    """The commit that is checked out, with ``+`` where tracked files differ from it; empty outside of a repository."""
    found = _first_line("git", "rev-parse", "--short=12", "HEAD")
    return f"{found}+" if found and _first_line("git", "status", "--porcelain", "--untracked-files=no") else found


def machine() -> dict[str, str | int | float | None]:
    """System, processor, cores and memory (GiB)."""
    return {
        "system": platform.system() + " " + platform.release().split("-")[0] + " " + platform.machine(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
    }


def versions(brokers: Iterable[str], suites: Iterable[str]) -> dict[str, str]:
    """Of everything that these suites use on these brokers."""
    found = {"Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if "apache" in brokers:
        found["Apache Kafka"] = DEFAULT_VERSION
    if "embedded" in brokers:
        with suppress(ConfigurationError):
            found["Tansu"] = _first_line(broker_command(port=0)[0], "--version").removeprefix("tansu ")
    if "apache" in brokers or "spring" in suites:
        with suppress(PartUnavailableError):
            found["Java"] = _first_line(java_program(), "--version")
    if "spring" in suites:
        found["Spring Kafka"] = _spring_kafka()
    return found


def _spring_kafka() -> str:
    pom = Path(__file__).with_name("spring").joinpath("pom.xml").read_text(encoding="utf-8")
    stated = re.search(r"<artifactId>spring-kafka</artifactId>\s*<version>([^<]+)</version>", pom)
    return stated[1] if stated else ""


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    names = re.findall(r"^model name\s*:\s*(.+)$", lines, flags=re.MULTILINE)
    return names[0] if names else platform.processor()


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)  # noqa: S603
    except OSError:
        return ""
    return (done.stdout.splitlines() or [""])[0].strip() if done.returncode == 0 else ""
