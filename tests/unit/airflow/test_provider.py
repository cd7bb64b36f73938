from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest
from airflow.sdk._shared.module_loading import import_string

from airflow_integration import options
from airflow_integration.provider import CONFIG_SECTION, get_provider_info
from workflow_events.settings import KafkaSettings

AIRFLOW = Path(airflow.__file__).parent


@pytest.fixture
def info() -> dict[str, Any]:
    return get_provider_info()


def schema(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((AIRFLOW / name).read_text())
    return read


def test_the_metadata_fit_airflows_own_schema(info: dict[str, Any]) -> None:
    jsonschema.validate(info, schema("provider_info.schema.json"))


def test_the_connection_form_fits_airflows_stricter_schema_for_forms(info: dict[str, Any]) -> None:
    types = schema("provider.yaml.schema.json")["properties"]["connection-types"]

    jsonschema.validate(info["connection-types"], types)


def test_airflow_finds_the_provider_by_its_entry_point() -> None:
    (found,) = [
        point
        for point in importlib.metadata.entry_points(group="apache_airflow_provider")
        if point.dist is not None and point.dist.name == "workflow-events"
    ]

    assert found.load() is get_provider_info


def test_every_class_and_module_that_is_named_is_there(info: dict[str, Any]) -> None:
    classes = [decorator["class-name"] for decorator in info["task-decorators"]]
    classes += [connection["hook-class-name"] for connection in info["connection-types"]]
    classes += info["extra-links"]
    modules = [
        module
        for kind in ("operators", "sensors", "hooks", "triggers")
        for entry in info[kind]
        for module in entry["python-modules"]
    ]

    assert all(import_string(path) for path in classes)
    assert all(importlib.import_module(module) for module in modules)


def test_the_form_and_the_hook_name_the_connection_alike(info: dict[str, Any]) -> None:
    (connection,) = info["connection-types"]
    hook: Any = import_string(connection["hook-class-name"])

    assert (connection["connection-type"], connection["hook-name"]) == (hook.conn_type, hook.hook_name)
    assert hook.conn_name_attr in hook.__init__.__annotations__


def test_every_field_of_the_form_is_a_kafka_setting_or_the_run_url(info: dict[str, Any]) -> None:
    (connection,) = info["connection-types"]

    assert set(connection["conn-fields"]) - {"run_url"} <= set(KafkaSettings.model_fields)


def test_secrets_of_the_form_are_hidden_by_the_browser(info: dict[str, Any]) -> None:
    (connection,) = info["connection-types"]
    secret = {
        name: field["schema"].get("format")
        for name, field in connection["conn-fields"].items()
        if "password" in name or name.endswith(("_keys", "_api_key"))
    }

    assert secret == dict.fromkeys(("ssl_key_password", "signing_keys", "result_store_api_key"), "password")


def test_the_options_defaults_are_the_same_in_the_metadata_and_in_the_code(info: dict[str, Any]) -> None:
    declared = {name: option["default"] for name, option in info["config"][CONFIG_SECTION]["options"].items()}

    assert {
        "inline_wait": str(options.DEFAULT_INLINE_WAIT),
        "settle_margin": str(options.DEFAULT_SETTLE_MARGIN),
        "kill_watch_interval": str(options.DEFAULT_KILL_WATCH_INTERVAL),
        "inline_result_limit": str(options.DEFAULT_INLINE_RESULT_LIMIT),
        "run_url": "",
    } == declared


def test_the_options_are_read_from_airflows_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "INLINE_WAIT": "0.5",
        "SETTLE_MARGIN": "9",
        "INLINE_RESULT_LIMIT": "10",
        "RUN_URL": "u",
    }.items():
        monkeypatch.setenv(f"AIRFLOW__WORKFLOW_EVENTS__{name}", value)
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "7")
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")

    assert options.inline_wait() == 0.5
    assert options.settle_margin() == 9.0
    assert options.inline_result_limit() == 10
    assert options.run_url() == "u"
    assert options.heartbeat_interval() == 7.0
    assert options.default_deferrable() is True
