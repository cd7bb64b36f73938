"""Settings that are each well and do not go together. Pure; each finding says what to set."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from workflow_events.settings import KafkaSettings

__all__ = [
    "PREFIX",
    "STORE_SCHEMES",
    "TOPIC_NAME",
    "check_api_url",
    "check_header_value",
    "check_store_url",
    "contradictions",
    "variable",
]

PREFIX: Final = "KAFKA_"
TOPIC_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
STORE_SCHEMES: Final = ("s3", "gs", "az", "file")


def variable(name: str) -> str:
    """The environment's name of a setting."""
    return f"{PREFIX}{name.upper()}"


def contradictions(settings: KafkaSettings) -> list[str]:
    """What does not go together, in words that hold no secret."""
    return [
        *_sasl_problems(settings),
        *_ssl_problems(settings),
        *_topic_problems(settings),
        *_claim_check_problems(settings),
        *_result_store_problems(settings),
    ]


def check_store_url(store: str) -> None:
    """Refuses what is neither a folder nor a URL of a store that is known.

    Raises:
        ValueError: it is neither; the message shows no part that may be secret.
    """
    scheme, separator, rest = store.partition("://")
    if not separator:
        return
    if scheme not in STORE_SCHEMES:
        raise ValueError(f"name a folder, or a URL that begins with {', '.join(f'{one}://' for one in STORE_SCHEMES)}")
    if "@" in rest or "?" in rest:  # shaped like user:password@host, so it is not repeated
        raise ValueError("the URL names bucket and prefix only; credentials have variables of their own")
    if not rest.strip("/"):
        raise ValueError(f"{scheme}:// names no {'folder' if scheme == 'file' else 'bucket'}")


def check_api_url(url: str) -> str:
    """The address of an HTTP API, without a slash at its end.

    Raises:
        ValueError: it is none; the message shows no part that may be secret.
    """
    name_one = "name a URL such as https://results.example.com or http://127.0.0.1:8810"
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError(name_one) from None
    if not known or not url.isprintable() or " " in url:
        raise ValueError(name_one)
    if "@" in url or parts.query or parts.fragment:  # shaped like user:password@host, so it is not repeated
        raise ValueError("the URL names host, port and path only; the key has a setting of its own")
    return url.rstrip("/")


def check_header_value(value: str) -> None:
    """Refuses what cannot stand in an HTTP header.

    Raises:
        ValueError: it cannot; the message does not show it.
    """
    if not value.isascii() or not value.isprintable():
        raise ValueError("it holds characters that an HTTP header does not take; check that nothing was pasted with it")


def _sasl_problems(settings: KafkaSettings) -> list[str]:
    names = ("sasl_mechanism", "sasl_username", "sasl_password")
    if settings.security_protocol.startswith("SASL_"):
        return [
            f"{settings.security_protocol} needs {name}: set {variable(name)}"
            for name in names
            if not getattr(settings, name)
        ]
    given = [name for name in names if getattr(settings, name)]
    if not given:
        return []
    problem = (
        f"{' and '.join(given)} would not be used with {settings.security_protocol}: set "
        f"{variable('security_protocol')} to SASL_SSL (or SASL_PLAINTEXT), or unset "
        f"{' and '.join(map(variable, given))}"
    )
    return [problem]


def _ssl_problems(settings: KafkaSettings) -> list[str]:
    problems = []
    names = ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_key_password")
    given = [name for name in names if getattr(settings, name)]
    if given and not settings.security_protocol.endswith("SSL"):
        problems.append(
            f"{' and '.join(given)} would not be used with {settings.security_protocol}: set "
            f"{variable('security_protocol')} to SSL or SASL_SSL, or unset {' and '.join(map(variable, given))}"
        )
    if settings.ssl_certfile is None:
        problems += [
            f"{name} is set without ssl_certfile: set {variable('ssl_certfile')} to the client certificate"
            for name in ("ssl_keyfile", "ssl_key_password")
            if getattr(settings, name)
        ]
    return problems


def _claim_check_problems(settings: KafkaSettings) -> list[str]:
    if settings.claim_check_store is None or settings.claim_check_threshold <= settings.max_message_bytes:
        return []
    problem = (
        f"claim_check_threshold ({settings.claim_check_threshold}) is more than max_message_bytes "
        f"({settings.max_message_bytes}), so messages would be too large before they are put into the store: set "
        f"{variable('claim_check_threshold')} to {settings.max_message_bytes // 4} or so"
    )
    return [problem]


def _result_store_problems(settings: KafkaSettings) -> list[str]:
    key, service = settings.result_store_api_key, settings.result_store_service
    problems = []
    if settings.result_store_url is None:
        given = [name for name in ("result_store_api_key", "result_store_service") if getattr(settings, name)]
        problems += [
            f"{name} would not be used without result_store_url: set {variable('result_store_url')}, or unset {variable(name)}"
            for name in given
        ]
    elif (key is None) != (service is None):
        missing = "result_store_service" if service is None else "result_store_api_key"
        problems.append(
            f"a key of the result store belongs to a service, and {missing} is missing: set {variable(missing)}"
        )
    return problems


def _topic_problems(settings: KafkaSettings) -> list[str]:
    names = ("workflow_events_topic", "workflow_results_topic", "workflow_progress_topic", "workflow_control_topic")
    problems = []
    taken: dict[str, str] = {}
    for name in names:
        topic = getattr(settings, name)
        if topic in taken:
            problems.append(f"{taken[topic]} and {name} are both {topic!r}: set {variable(name)} to another topic")
        taken[topic] = name
    longest = max(taken, key=len)
    if not TOPIC_NAME.fullmatch(settings.dead_letter_topic(longest)):
        problems.append(
            f"{settings.dead_letter_topic(longest)!r} is no topic name: set {variable('dead_letter_suffix')} to a short "
            "text of letters, digits, '.', '_' and '-'"
        )
    replicas, insync = settings.topic_replication_factor, settings.topic_min_insync_replicas
    if replicas is not None and insync is not None and insync > replicas:
        problems.append(
            f"topic_min_insync_replicas ({insync}) is more than topic_replication_factor ({replicas}), so nothing "
            f"could be published: set {variable('topic_min_insync_replicas')} to {replicas} or less"
        )
    return problems
