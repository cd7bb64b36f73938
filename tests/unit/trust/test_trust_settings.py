"""Keys and stores that cannot be used are refused in words, which show no key."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from workflow_events import ConfigurationError, KafkaSettings
from workflow_events.signing_keys import new_key, parse_keys

KEY = base64.b64encode(b"k" * 32).decode()
SHORT = base64.b64encode(b"short-secret").decode()


def settings(**values: Any) -> KafkaSettings:
    return KafkaSettings(_env_file=None, **values)


@pytest.mark.parametrize(
    "text,said",
    [
        (KEY, "key 1 is not id:base64key"),
        (f"a:{KEY},", "key 2 is not id:base64key"),
        (f"a b:{KEY}", "key 1 is not id:base64key"),
        (f"a:{KEY},a:{KEY}", "two keys have the id 'a'"),
        ("a:not base64!", "key 'a' is not base64"),
        (f"a:{SHORT}", "key 'a' has 12 bytes; a key has 32 or more"),
    ],
    ids=["no id", "nothing", "bad id", "twice", "no base64", "short"],
)
def test_keys_that_do_not_hold_are_refused_without_showing_them(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match="KAFKA_SIGNING_KEYS") as caught:
        settings(signing_keys=text)

    assert said in str(caught.value)
    assert KEY not in str(caught.value)
    assert SHORT not in str(caught.value)


def test_keys_keep_their_order_for_the_first_signs() -> None:
    assert list(parse_keys(f"b:{KEY}, a:{KEY}")) == ["b", "a"]
    assert parse_keys(new_key("c", bytes(range(32)))) == {"c": bytes(range(32))}


@pytest.mark.parametrize("store", ["payloads", "/var/payloads", "file:///var/payloads", "s3://bucket/prefix", "gs://b"])
def test_a_store_is_a_folder_or_a_bucket(store: str) -> None:
    assert settings(claim_check_store=store).claim_check_store == store


@pytest.mark.parametrize("store", ["http://host/secret", "s3://user:secret@bucket", "s3://bucket?key=secret", "s3://"])
def test_a_store_that_is_neither_is_refused(store: str) -> None:
    with pytest.raises(ConfigurationError, match="KAFKA_CLAIM_CHECK_STORE") as caught:
        settings(claim_check_store=store)

    assert "secret" not in str(caught.value)


def test_a_threshold_above_what_may_be_published_is_refused_where_there_is_a_store() -> None:
    assert settings(max_message_bytes=100_000).claim_check_store is None
    with pytest.raises(ConfigurationError, match="set KAFKA_CLAIM_CHECK_THRESHOLD to 25000"):
        settings(max_message_bytes=100_000, claim_check_store="payloads")
