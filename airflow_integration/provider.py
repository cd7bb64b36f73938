"""What Airflow reads of this package before it imports any of it: the provider's metadata.

Found through the ``apache_airflow_provider`` entry point by every Airflow process at start, so nothing is imported here.
The shape is fixed by ``airflow/provider_info.schema.json``; the connection form by ``provider.yaml.schema.json``.
"""

from __future__ import annotations

from typing import Any

__all__ = ["CONFIG_SECTION", "get_provider_info"]

CONFIG_SECTION = "workflow_events"
"""The section of ``airflow.cfg`` that holds this provider's options."""

_INTEGRATION = "Workflow events"


def get_provider_info() -> dict[str, Any]:
    """The provider's metadata, as ``airflow providers`` and the web form read it."""
    return {
        "package-name": "workflow-events",
        "name": "Workflow events",
        "description": "Request and reply over Kafka between Airflow tasks and LangGraph workflows.",
        "integrations": [{"integration-name": _INTEGRATION, "tags": ["service"]}],
        "operators": [{"integration-name": _INTEGRATION, "python-modules": ["airflow_integration.operator"]}],
        "sensors": [{"integration-name": _INTEGRATION, "python-modules": ["airflow_integration.sensor"]}],
        "hooks": [{"integration-name": _INTEGRATION, "python-modules": ["airflow_integration.hook"]}],
        "triggers": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": ["airflow_integration.trigger", "airflow_integration.gather_trigger"],
            }
        ],
        "task-decorators": [{"name": "workflow", "class-name": "airflow_integration.decorator.workflow_task"}],
        "extra-links": ["airflow_integration.links.WorkflowRunLink"],
        "connection-types": [_connection_type()],
        "config": {CONFIG_SECTION: _configuration()},
    }


def _connection_type() -> dict[str, Any]:
    return {
        "connection-type": "workflow_events",
        "hook-class-name": "airflow_integration.hook.WorkflowEventsHook",
        "hook-name": "Workflow events (Kafka)",
        "ui-field-behaviour": {
            "hidden-fields": ["schema", "port"],
            "relabeling": {"host": "Bootstrap servers", "login": "SASL user name", "password": "SASL password"},
            "placeholders": {"host": "broker-1:9092,broker-2:9092", "login": "airflow"},
        },
        "conn-fields": {
            "security_protocol": _field(
                "Security protocol", enum=["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], default="PLAINTEXT"
            ),
            "sasl_mechanism": _field("SASL mechanism", enum=["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]),
            "ssl_cafile": _field("CA file", "Path on the workers and the triggerer to the broker's CA, PEM."),
            "ssl_certfile": _field("Client certificate", "Path to this client's certificate, PEM."),
            "ssl_keyfile": _field("Client key", "Path to this client's private key, PEM."),
            "ssl_key_password": _field("Client key's password", format="password"),
            "signing_keys": _field(
                "Signing keys", "id:base64key,id2:base64key2; the first signs, all verify.", format="password"
            ),
            "claim_check_store": _field(
                "Store of large payloads", "A folder that both sides see, or a URL such as s3://bucket/prefix."
            ),
            "result_store_url": _field(
                "Result store",
                "Its API, such as https://results.example.com; asked for what the topic keeps no longer.",
            ),
            "result_store_api_key": _field(
                "Result store's key", "What `result-store keys create` printed.", format="password"
            ),
            "result_store_service": _field("Result store's service", "The service that the key was made for."),
            "workflow_events_topic": _field(
                "Requests topic", "Where requests are published; workflow-events if empty."
            ),
            "workflow_results_topic": _field("Results topic", "Where results appear; workflow-results if empty."),
            "run_url": _field(
                "Run URL",
                "Where people look at a run. Takes {correlation_id}, {workflow_id} and {workflow_run_id}.",
            ),
        },
    }


def _field(label: str, description: str | None = None, **schema: Any) -> dict[str, Any]:
    """One field of the connection form, kept in the connection's ``extra``."""
    field: dict[str, Any] = {"label": label, "schema": {"type": ["string", "null"], **schema}}
    if description:
        field["description"] = description
    return field


def _configuration() -> dict[str, Any]:
    return {
        "description": "Options of the workflow-events provider.",
        "options": {
            "inline_wait": {
                "description": (
                    "Seconds that a deferrable task waits in its worker slot before it defers. A result that comes "
                    "within them costs no deferral: no trigger, and no second start of the task's process."
                ),
                "version_added": None,
                "type": "float",
                "example": "0",
                "default": "2.0",
            },
            "settle_margin": {
                "description": (
                    "Seconds beyond [workers] min_heartbeat_interval for which a trigger keeps a result that came "
                    "early, until the scheduler has taken note of the deferred task's exit. Raise it where the "
                    "scheduler loop or the executor reports exits more slowly than this."
                ),
                "version_added": None,
                "type": "float",
                "example": "15",
                "default": "5.0",
            },
            "kill_watch_interval": {
                "description": (
                    "Seconds between two looks whether a user has marked or cleared a task that waits, so that its run stops "
                    "soon. A task in its worker slot asks Airflow's API, which is sooner than its supervisor hears of it "
                    "([workers] min_heartbeat_interval); while tasks are deferred, the triggerer is made to look twice in "
                    "this time. 0 leaves it to Airflow."
                ),
                "version_added": None,
                "type": "float",
                "example": "0",
                "default": "1.0",
            },
            "inline_result_limit": {
                "description": (
                    "Bytes up to which a result travels in the trigger's event, which Airflow writes to its database "
                    "and its log; of a list's results, their sum. What is larger is named by topic, partition and offset "
                    "and read in the worker."
                ),
                "version_added": None,
                "type": "integer",
                "example": "0",
                "default": "16384",
            },
            "run_url": {
                "description": (
                    "Where people look at a run; becomes a link on the task. Takes {correlation_id}, {workflow_id} "
                    "and {workflow_run_id}. The connection's field of the same name goes before it."
                ),
                "version_added": None,
                "type": "string",
                "example": "https://runs.example.com/{correlation_id}",
                "default": "",
            },
        },
    }
