"""The pytest plugin, seen from a project that uses it: each test runs pytest in a folder of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

USES_BOTH = """
    import socket

    def test_broker(kafka_broker):
        host, port = kafka_broker.bootstrap_servers.split(":")
        socket.create_connection((host, int(port))).close()
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project without an ini file, and no program on the path: no Java, no Maven, no Docker, no PostgreSQL."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(pytester.path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{pytester.path}/no-docker.sock")
    return pytester


NOT_OURS = ("schemathesis", "langsmith_plugin")
"""Plugins of other packages, here by chance, that take most of what it costs to start pytest."""


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    without = [option for name in ("cacheprovider", *NOT_OURS) for option in ("-p", f"no:{name}")]
    return project.runpytest_subprocess(*without, "-rs", *arguments, timeout=60)


def test_a_test_of_the_broker_runs_on_each_and_skips_the_one_that_is_missing(project: pytest.Pytester) -> None:
    project.makepyfile(USES_BOTH)
    result = run(project, "-v")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(
        ["*test_broker*embedded* PASSED*", "*1 test ran on embedded broker", "*no java*no Docker*"]
    )


def test_a_missing_broker_fails_in_ci(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    project.makepyfile(USES_BOTH)
    result = run(project)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*no java is on the path*CI is set*"])


def test_the_option_chooses_the_brokers(project: pytest.Pytester) -> None:
    project.makepyfile(USES_BOTH)
    run(project, "--kafka-brokers=embedded").assert_outcomes(passed=1)


def test_the_marker_chooses_the_brokers(project: pytest.Pytester) -> None:
    project.makepyfile(
        "import pytest\npytestmark = pytest.mark.kafka_brokers('embedded')\n" + USES_BOTH.replace("\n    ", "\n")
    )
    run(project, "--strict-markers").assert_outcomes(passed=1)


def test_an_unknown_broker_is_a_usage_error(project: pytest.Pytester) -> None:
    project.makepyfile(USES_BOTH)
    result = run(project, "--kafka-brokers=rabbit")
    assert result.ret is not pytest.ExitCode.OK
    assert "no broker is named rabbit; there are embedded, apache" in result.stdout.str() + result.stderr.str()


def test_a_run_that_uses_no_real_part_has_no_summary_of_them(project: pytest.Pytester) -> None:
    project.makepyfile("def test_nothing(): pass")
    assert "real parts" not in run(project).stdout.str()


def test_the_plugin_brings_nothing_heavy_into_a_project_that_does_not_use_it() -> None:
    code = "import sys, pytest; import workflow_events.testing.plugin; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"aiokafka", "airflow", "docker", "httpx", "kafka", "langgraph", "pydantic", "tenacity", "testcontainers"}
    assert heavy.isdisjoint(loaded)
