from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk import Connection

from airflow_integration.connection import settings_of
from airflow_integration.hook import WorkflowEventsHook
from workflow_events.errors import ConfigurationError
from workflow_events.settings import KafkaSettings

SECRET = "tr0ub4dor"


def own(extra: dict[str, Any] | None = None, **fields: Any) -> Connection:
    return Connection(
        conn_id="mine", conn_type="workflow_events", extra=json.dumps(extra) if extra is not None else None, **fields
    )


def kafka(extra: dict[str, Any], **fields: Any) -> Connection:
    return Connection(conn_id="theirs", conn_type="kafka", extra=json.dumps(extra), **fields)


class TestOwnType:
    @pytest.mark.parametrize(
        "fields, servers",
        [
            ({"host": "broker"}, "broker:9092"),
            ({"host": "broker", "port": 19092}, "broker:19092"),
            ({"host": "broker:29092"}, "broker:29092"),
            ({"host": "a:1,b:2"}, "a:1,b:2"),
            ({"host": " broker "}, "broker:9092"),
            ({"host": "[::1]", "port": 9094}, "[::1]:9094"),
            ({"host": "[::1]:9094"}, "[::1]:9094"),
            ({"extra": {"bootstrap_servers": "c:3"}}, "c:3"),
        ],
    )
    def test_the_brokers_come_from_the_host(self, fields: dict[str, Any], servers: str) -> None:
        assert settings_of(own(**fields)).bootstrap_servers == servers

    def test_login_and_password_are_sasls_and_the_rest_comes_from_the_form(self) -> None:
        settings = settings_of(
            own(
                {
                    "security_protocol": "SASL_SSL",
                    "sasl_mechanism": "SCRAM-SHA-512",
                    "ssl_cafile": "/ca.pem",
                    "workflow_events_topic": "team-requests",
                    "workflow_results_topic": "team-results",
                    "ssl_certfile": "",
                    "ssl_keyfile": None,
                    "run_url": "https://runs/{correlation_id}",
                },
                host="b:9093",
                login="airflow",
                password=SECRET,
            )
        )

        assert (settings.security_protocol, settings.sasl_mechanism) == ("SASL_SSL", "SCRAM-SHA-512")
        assert settings.sasl_username == "airflow"
        assert settings.sasl_password is not None
        assert settings.sasl_password.get_secret_value() == SECRET
        assert settings.ssl_cafile == "/ca.pem"
        assert (settings.workflow_events_topic, settings.workflow_results_topic) == ("team-requests", "team-results")

    def test_a_uri_will_do(self) -> None:
        uri = f"workflow-events://airflow:{SECRET}@b:9093/?security_protocol=SASL_PLAINTEXT&sasl_mechanism=PLAIN"
        connection = Connection(conn_id="mine", uri=uri)  # type: ignore[call-arg]  # its constructor is made at run time

        settings = settings_of(connection)

        assert settings.bootstrap_servers == "b:9093"
        assert settings.security_protocol == "SASL_PLAINTEXT"
        assert settings.sasl_username == "airflow"

    def test_the_environments_credentials_do_not_go_to_the_connections_cluster(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in {
            "SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "SASL_MECHANISM": "PLAIN",
            "SASL_USERNAME": "u",
            "SASL_PASSWORD": SECRET,
            "WORKFLOW_RESULTS_TOPIC": "from-the-environment",
        }.items():
            monkeypatch.setenv(f"KAFKA_{name}", value)

        settings = settings_of(own(host="b"))

        assert (settings.security_protocol, settings.sasl_password) == ("PLAINTEXT", None)
        assert settings.workflow_results_topic == "from-the-environment"


class TestKafkaType:
    def test_librdkafkas_options_are_read_from_the_extra(self) -> None:
        settings = settings_of(
            kafka(
                {
                    "bootstrap.servers": "b:9093",
                    "security.protocol": "SASL_SSL",
                    "sasl.mechanism": "PLAIN",
                    "sasl.username": "u",
                    "sasl.password": SECRET,
                    "ssl.ca.location": "/ca.pem",
                    "group.id": "theirs",
                }
            )
        )

        assert settings.bootstrap_servers == "b:9093"
        assert (settings.security_protocol, settings.sasl_username) == ("SASL_SSL", "u")

    def test_the_host_names_the_broker_where_the_extra_does_not(self) -> None:
        assert settings_of(kafka({}, host="b", port=1234)).bootstrap_servers == "b:1234"


class TestWhatDoesNotHold:
    @pytest.mark.parametrize(
        "connection, said",
        [
            (own(), "names no broker"),
            (own({"securty_protocol": "SSL"}, host="b"), "securty_protocol"),
            (own({"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN"}, host="b"), "sasl_username"),
            (kafka({}), "bootstrap.servers"),
            (kafka({"bootstrap.servers": "b:1", "sasl.oauthbearer.config": SECRET}), "sasl.oauthbearer.config"),
            (Connection(conn_id="odd", conn_type="http", host="b"), "type 'http'"),
        ],
        ids=["no broker", "misspelt", "half a login", "kafka without a broker", "unsupported", "another type"],
    )
    def test_the_error_names_the_connection_and_what_is_wrong(self, connection: Connection, said: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            settings_of(connection)

        assert repr(connection.conn_id) in str(caught.value)
        assert said in str(caught.value)

    def test_no_secret_is_in_the_message_or_in_what_led_to_it(self) -> None:
        connection = own({"security_protocol": "SSL"}, host="b", login="airflow", password=SECRET)

        with pytest.raises(ConfigurationError) as caught:
            settings_of(connection)

        assert SECRET not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


class TestHook:
    def test_a_connection_in_the_environment_is_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_TEAM", "workflow-events://b:1234")

        assert WorkflowEventsHook("team").settings.bootstrap_servers == "b:1234"

    def test_without_the_default_connection_the_environments_settings_hold(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "from-the-environment:9092")

        assert WorkflowEventsHook().settings == KafkaSettings()
        assert WorkflowEventsHook().settings.bootstrap_servers == "from-the-environment:9092"

    def test_the_default_connection_goes_before_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "from-the-environment:9092")
        monkeypatch.setenv("AIRFLOW_CONN_WORKFLOW_EVENTS_DEFAULT", "workflow-events://b:1234")

        assert WorkflowEventsHook().settings.bootstrap_servers == "b:1234"

    def test_a_named_connection_that_is_missing_is_an_error_that_says_how_to_make_it(self) -> None:
        with pytest.raises(ConfigurationError, match=r"'tema'.*airflow connections add tema --conn-type"):
            _ = WorkflowEventsHook("tema").settings

    def test_the_connection_test_says_what_is_wrong_with_the_connection(self) -> None:
        assert WorkflowEventsHook("tema").test_connection()[0] is False
        assert "airflow connections add" in WorkflowEventsHook("tema").test_connection()[1]

    def test_the_connection_test_says_that_nobody_answers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_TEAM", "workflow-events://127.0.0.1:1/?connect_timeout=0.5")

        works, message = WorkflowEventsHook("team").test_connection()

        assert not works
        assert "127.0.0.1:1" in message
