"""The way from an Airflow connection to the SDK's clients."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from airflow_integration import options
from airflow_integration.client_logs import quieten
from airflow_integration.connection import CONN_TYPE, DEFAULT_CONN_ID, settings_of
from workflow_events.errors import ConfigurationError, WorkflowEventsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from airflow.sdk import Connection

    from workflow_events.client import WorkflowClient
    from workflow_events.events import WorkflowResultEvent
    from workflow_events.pending import PendingRequest
    from workflow_events.replies.records import RecordPosition
    from workflow_events.settings import KafkaSettings

__all__ = ["WorkflowEventsHook"]


class WorkflowEventsHook(BaseHook):
    """Kafka settings and clients for workflow events, from an Airflow connection.

    The connection is of type ``workflow_events``, or of the Apache Kafka provider's type ``kafka``. Where the default
    connection is not defined, the environment's settings hold (``KAFKA_BOOTSTRAP_SERVERS`` and the like); a connection
    that was named must exist.

    Args:
        workflow_events_conn_id: the connection's id.
    """

    conn_name_attr = "workflow_events_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = CONN_TYPE
    hook_name = "Workflow events (Kafka)"

    def __init__(self, workflow_events_conn_id: str = DEFAULT_CONN_ID) -> None:
        super().__init__()
        self.workflow_events_conn_id = workflow_events_conn_id

    @cached_property
    def connection(self) -> Connection | None:
        """The Airflow connection; None where the default one is not defined.

        Raises:
            ConfigurationError: a connection was named and is not defined.
        """
        conn_id = self.workflow_events_conn_id
        try:
            connection: Connection = self.get_connection(conn_id)
        except AirflowNotFoundException:
            if conn_id == DEFAULT_CONN_ID:
                self.log.debug("No connection %r; taking the Kafka settings from the environment.", conn_id)
                return None
            raise ConfigurationError(
                f"There is no Airflow connection {conn_id!r}. Create it, with the type {CONN_TYPE!r} (brokers in the "
                f"host) or 'kafka' (librdkafka's options in the extra), as in: airflow connections add {conn_id} "
                f"--conn-type {CONN_TYPE} --conn-host broker:9092"
            ) from None
        return connection

    @cached_property
    def settings(self) -> KafkaSettings:
        """The Kafka settings.

        Raises:
            ConfigurationError: the connection is missing or does not hold together.
        """
        quieten()  # whoever asks for these is about to open a client
        settings = self._settings()
        for secret in (settings.signing_keys, settings.result_store_api_key):
            if secret is not None:
                mask_secret(secret.get_secret_value())  # Airflow masks passwords by itself, and no other names
        return settings

    def _settings(self) -> KafkaSettings:
        if self.connection is not None:
            return settings_of(self.connection)
        from workflow_events.settings import KafkaSettings  # noqa: PLC0415 - DAG files are parsed without it

        return KafkaSettings()

    def client(self) -> WorkflowClient:
        """A client for requests; a context manager."""
        from workflow_events.client import WorkflowClient  # noqa: PLC0415 - brings in a Kafka client
        from workflow_events.events import EventSource  # noqa: PLC0415

        return WorkflowClient(self.settings, source=EventSource.AIRFLOW)

    def get_conn(self) -> WorkflowClient:
        """The same as :meth:`client`, by the name that Airflow's hooks have for it."""
        return self.client()

    def read_result(self, position: RecordPosition, pending: PendingRequest) -> WorkflowResultEvent:
        """The result of a request from its place in the log.

        Raises:
            ResultUnavailableError: it is not there any more.
            TransportError: the broker cannot be asked.
        """
        return self.read_results({position: pending.correlation_id})[position]

    def read_results(self, wanted: Mapping[RecordPosition, UUID]) -> dict[RecordPosition, WorkflowResultEvent]:
        """Results from their places in the log, in one pass over each partition.

        Args:
            wanted: the places, and the request whose result is expected there.

        Raises:
            ResultUnavailableError: one is not there any more.
            TransportError: the broker cannot be asked.
        """
        from workflow_events.replies.read_back import read_back  # noqa: PLC0415 - brings in a Kafka client

        return {position: reply.event for position, reply in read_back(self.settings, wanted).items()}

    def read_stored(self, pending: PendingRequest) -> WorkflowResultEvent:
        """The result of a request from the result store, which the triggerer has found there.

        Raises:
            ResultUnavailableError: it is not there any more, or another that does not answer this request.
            TransportError: the store cannot be asked.
        """
        from workflow_events.retry import transport_retrying  # noqa: PLC0415 - seldom needed
        from workflow_events.stored_results import StoredResults  # noqa: PLC0415

        with StoredResults(self.settings) as store:
            return transport_retrying(self.settings.request_timeout)(store.result, pending)

    def with_payload(self, event: WorkflowResultEvent) -> WorkflowResultEvent:
        """A result with its payload, taken from the store where the event only refers to it.

        The triggerer passes such an event on as it is; only the task's worker needs the right to read the store.

        Raises:
            ClaimCheckError: the payload cannot be had; the message says what to do.
            TransportError: the store does not answer, or does not let us read.
        """
        if event.claim_check is None:
            return event
        from workflow_events.payloads import Payloads  # noqa: PLC0415 - seldom needed

        return Payloads(self.settings).take(event)

    def with_payloads(self, events: Sequence[WorkflowResultEvent | None]) -> list[WorkflowResultEvent | None]:
        """Results as :meth:`with_payload` gives them; one whose payload cannot be had is an ``error`` result."""
        from workflow_events.payloads import Payloads  # noqa: PLC0415 - seldom needed

        return Payloads(self.settings).take_each(events)

    def run_url(self, pending: PendingRequest) -> str:
        """Where people look at a request's run; an empty text where no template is set."""
        extra: dict[str, Any] = self.connection.extra_dejson if self.connection is not None else {}
        template = str(extra.get("run_url") or options.run_url())
        if not template:
            return ""
        try:
            return template.format(
                correlation_id=pending.correlation_id,
                # A DAG run's id holds a plus, which in an address is a space.
                workflow_id=quote(pending.workflow_id, safe=""),
                workflow_run_id=quote(pending.workflow_run_id, safe=""),
            )
        except (KeyError, IndexError, ValueError) as error:
            raise ConfigurationError(
                f"The run URL {template!r} cannot be filled in ({error!r}); it takes {{correlation_id}}, "
                "{workflow_id} and {workflow_run_id}."
            ) from error

    def test_connection(self) -> tuple[bool, str]:
        """Whether the cluster lets us in and has the topics, and a sentence about it, for Airflow's connection form."""
        try:
            settings = self.settings
            missing = self._missing_topics()
            store = self._store_trouble()
        except WorkflowEventsError as error:
            return False, str(error)
        if store is not None:
            return False, f"Connected to {settings.bootstrap_servers}. {store}"
        if missing:
            return False, (
                f"Connected to {settings.bootstrap_servers}, but there is no topic {' and no topic '.join(missing)}. "
                "Create them with: workflow-events topics create"
            )
        return True, (
            f"Connected to {settings.bootstrap_servers}; requests go to {settings.workflow_events_topic!r}, results "
            f"come from {settings.workflow_results_topic!r}."
        )

    def _store_trouble(self) -> str | None:
        """What keeps the result store from answering; None where nothing does, or none is set."""
        if self.settings.result_store_url is None:
            return None
        from workflow_events.identifiers import new_event_id  # noqa: PLC0415 - seldom needed
        from workflow_events.stored_results import StoredResults  # noqa: PLC0415

        try:
            with StoredResults(self.settings) as store:
                store.run(new_event_id())
        except WorkflowEventsError as error:
            return str(error)
        return None

    def _missing_topics(self) -> list[str]:
        from workflow_events.transport import blocking  # noqa: PLC0415 - brings in a Kafka client

        with blocking.map_errors(self.settings, "list the topics"):
            consumer = blocking.new_consumer(self.settings)
            try:
                there = consumer.topics()
            finally:
                consumer.close()
        wanted = (self.settings.workflow_events_topic, self.settings.workflow_results_topic)
        return [repr(topic) for topic in wanted if topic not in there]
