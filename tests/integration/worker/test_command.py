"""The command ``workflow-worker``, as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from langgraph_integration import WorkerSettings
from tests.integration.worker.observing import each_answered_once, eventually, quick
from workflow_events import AsyncWorkflowClient, KafkaSettings
from workflow_events.testing.kafka_sources import Broker
from workflow_events.testing.processes import ServerProcess, free_port

GRAPHS = Path(__file__).parent / "graphs.py"
HERE = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[3]), "COLUMNS": "200"}


def run(*arguments: str, directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "langgraph_integration", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=directory,
        env={**HERE, **environment},
        check=False,
    )


def test_the_help_tells_the_options(tmp_path: Path) -> None:
    done = run("--help", directory=tmp_path)
    assert done.returncode == 0
    for option in ("config", "create-topics", *WorkerSettings.model_fields):
        assert f"--{option.replace('_', '-')}" in done.stdout


@pytest.mark.parametrize(
    "arguments, message",
    [
        pytest.param([], "there is no langgraph.json here", id="nothing named"),
        pytest.param(["--config", "no.json"], "no.json: cannot be read", id="no file"),
        pytest.param(
            ["no_such_module_x:graph"], "argument 'no_such_module_x:graph': there is no module", id="no module"
        ),
        pytest.param([f"{GRAPHS}:add", "--concurrency", "0"], "WORKFLOW_WORKER_CONCURRENCY", id="a bad option"),
        pytest.param([f"{GRAPHS}:add", f"{GRAPHS}:add"], "Two graphs are named 'add'", id="one name twice"),
        pytest.param([f"{GRAPHS}:add", "--checkpointer", "mysql://u:hunter2@h"], "begins with 'mysql'", id="a bad URL"),
    ],
)
def test_a_configuration_that_does_not_hold_ends_with_code_2(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = run(*arguments, directory=tmp_path)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert "hunter2" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broker_that_is_not_there_ends_with_code_1(tmp_path: Path) -> None:
    servers = f"127.0.0.1:{free_port()}"
    done = run(f"{GRAPHS}:endless", directory=tmp_path, KAFKA_BOOTSTRAP_SERVERS=servers, KAFKA_CONNECT_TIMEOUT="0.5")
    assert done.returncode == 1
    assert servers in done.stderr
    assert "Traceback" not in done.stderr


SYNC_GRAPH = """
import os, time
from typing import TypedDict
from langgraph.graph import START, StateGraph

class State(TypedDict):
    n: int

def forever(state):
    open("begun", "w").close()
    while True:
        time.sleep(0.05)

def add(state):
    return {"n": state["n"] + int(os.environ["STEP"])}

def built(node):
    builder = StateGraph(State)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    return builder

stuck = built(forever)
adding = built(add)
"""


async def test_a_langgraph_json_and_its_environment_are_served_and_missing_topics_are_made(
    embedded_broker: Broker, tmp_path: Path
) -> None:
    # Given a project whose langgraph.json names everything, also where Kafka is
    tag = tmp_path.name
    names = ("events", "results", "progress", "control")
    topics: dict[str, Any] = {f"workflow_{name}_topic": f"{name}-{tag}" for name in names}
    environment = {
        "STEP": "5",
        "KAFKA_BOOTSTRAP_SERVERS": embedded_broker.bootstrap_servers,
        "WORKFLOW_WORKER_SESSION_TIMEOUT": "4",
        "WORKFLOW_WORKER_GROUP_ID": f"group-{tag}",
        **{f"KAFKA_{name.upper()}": topic for name, topic in topics.items()},
    }
    (tmp_path / "project.py").write_text(SYNC_GRAPH)
    config = {"graphs": {"adding": "./project.py:adding"}, "env": environment, "dependencies": ["."]}
    (tmp_path / "langgraph.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "langgraph_integration", "--create-topics"]
    log = tmp_path / "log"
    # When the command is started there, with no argument but to make the topics
    with ServerProcess("worker", command, log_file=log, environment=HERE, directory=tmp_path) as worker:
        await eventually(lambda: "Partitions assigned" in worker.log_text())
        settings = KafkaSettings(bootstrap_servers=embedded_broker.bootstrap_servers, **topics)
        # Then it answers
        async with AsyncWorkflowClient(settings) as client:
            answer = await client.request("adding", {"n": 1}, timeout=30)
    assert answer.raise_for_status().result == {"n": 6}
    await each_answered_once(settings, {answer.correlation_id})


async def test_a_sync_node_that_never_ends_does_not_keep_the_process(
    embedded_broker: Broker, embedded_settings: KafkaSettings, tmp_path: Path
) -> None:
    # Given a worker with a sync node that cannot be cancelled
    (tmp_path / "project.py").write_text(SYNC_GRAPH)
    options = quick(embedded_broker)
    environment = {
        **HERE,
        "KAFKA_BOOTSTRAP_SERVERS": embedded_settings.bootstrap_servers,
        "KAFKA_WORKFLOW_EVENTS_TOPIC": embedded_settings.workflow_events_topic,
        "WORKFLOW_WORKER_GROUP_ID": options.group_id,
        "WORKFLOW_WORKER_SESSION_TIMEOUT": "4",
        "WORKFLOW_WORKER_DRAIN_TIMEOUT": "0.2",
    }
    command = [sys.executable, "-m", "langgraph_integration", "project.py:stuck"]
    with ServerProcess(
        "worker", command, log_file=tmp_path / "log", environment=environment, directory=tmp_path
    ) as worker:
        async with AsyncWorkflowClient(embedded_settings) as client:
            await client.submit("stuck", {"n": 1}, timeout=60)
            await eventually((tmp_path / "begun").exists)
            # When it is told to stop
            os.kill(worker.pid, signal.SIGTERM)
            # Then it says what it leaves behind, and ends
            await eventually(lambda: not worker.is_running, timeout=25)
        assert "Threads of sync nodes still run" in worker.log_text()
        assert worker._process is not None
        assert worker._process.returncode == 0


def test_the_package_is_imported_without_langgraph_or_kafka() -> None:
    code = (
        "import sys, langgraph_integration as package; "
        "assert not {'langgraph', 'aiokafka', 'pydantic'} & set(sys.modules); "
        "assert all(getattr(package, name) for name in package.__all__)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
