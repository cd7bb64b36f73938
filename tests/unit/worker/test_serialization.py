"""Which plain JSON a state becomes, and what is said where it becomes none."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import socket
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.types import Interrupt
from pydantic import BaseModel

from langgraph_integration.errors import UnserializableError
from langgraph_integration.serialization import to_plain_json, to_plain_object


class Colour(enum.Enum):
    RED = "red"


class Finding(BaseModel):
    score: float = math.nan
    raw: bytes = b"\xff\xfe"
    seen: datetime = datetime(2026, 1, 2, tzinfo=UTC)


@dataclasses.dataclass
class Report:
    findings: list[Finding]
    tags: set[str]


class Holder(BaseModel, arbitrary_types_allowed=True):
    name: str
    held: Any


ID = UUID("01890000-0000-7000-8000-000000000001")


@pytest.mark.parametrize(
    "value, plain",
    [
        pytest.param(ID, str(ID), id="uuid"),
        pytest.param(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z", id="datetime"),
        pytest.param(date(2026, 1, 2), "2026-01-02", id="date"),
        pytest.param(timedelta(seconds=90), "PT1M30S", id="timedelta"),
        pytest.param(b"\xff\xfe", "__4=", id="bytes"),
        pytest.param(Decimal("1.10"), "1.10", id="decimal"),
        pytest.param(Colour.RED, "red", id="enum"),
        pytest.param({"a"}, ["a"], id="set"),
        pytest.param((1, 2), [1, 2], id="tuple"),
        pytest.param(math.nan, None, id="nan"),
        pytest.param(-math.inf, None, id="infinity"),
        pytest.param(10**40, 10**40, id="large integer"),
        pytest.param(Path("/a/b"), "/a/b", id="path"),
        pytest.param({1: "one", Colour.RED: "r"}, {"1": "one", "red": "r"}, id="keys"),
        pytest.param(Finding(raw=b"ok"), {"score": None, "raw": "ok", "seen": "2026-01-02T00:00:00Z"}, id="model"),
    ],
)
def test_what_pydantic_knows_becomes_plain(value: object, plain: object) -> None:
    assert to_plain_json(value) == plain


def test_a_model_whose_own_options_refuse_its_bytes_is_passed_all_the_same() -> None:
    # Given a model whose bytes are not UTF-8, which its JSON form would have to be
    report = Report([Finding()], {"x"})
    # When it is made plain, then the bytes are base64 as everywhere else
    assert to_plain_json(report) == {
        "findings": [{"score": None, "raw": "__4=", "seen": "2026-01-02T00:00:00Z"}],
        "tags": ["x"],
    }


def test_messages_become_objects() -> None:
    plain = to_plain_object({"messages": [HumanMessage("hi"), AIMessage("ho")]})
    assert [(message["type"], message["content"]) for message in plain["messages"]] == [("human", "hi"), ("ai", "ho")]


def test_interrupts_become_objects() -> None:
    assert to_plain_object(Interrupt(value={"q": 1}, id="i"))["value"] == {"q": 1}


@pytest.mark.parametrize("value, plain", [(None, {}), (3, {"output": 3}), ([1], {"output": [1]}), ({"a": 1}, {"a": 1})])
def test_the_wire_carries_an_object(value: object, plain: object) -> None:
    assert to_plain_object(value) == plain


@pytest.mark.parametrize(
    "value, path",
    [
        pytest.param({"docs": [1, 2, {"socket": socket.socket}]}, "result.docs[2].socket", id="in dicts and lists"),
        pytest.param({"r": Report([Finding(), object()], set())}, "result.r.findings[1]", id="in a dataclass"),  # type: ignore[list-item]
        pytest.param({"h": Holder(name="n", held={"x": object()})}, "result.h.held.x", id="in a model"),
        pytest.param({"t": "half \ud83d"}, "result.t", id="half a surrogate pair"),
        pytest.param({"e": ValueError("x")}, "result.e", id="an exception"),
        pytest.param({Finding: 1}, "result[", id="a key"),
        pytest.param(object(), "result", id="the whole"),
    ],
)
def test_what_has_no_plain_form_is_named_by_its_path(value: object, path: str) -> None:
    with pytest.raises(UnserializableError) as caught:
        to_plain_json(value)
    assert caught.value.path.startswith(path)
    assert str(caught.value).startswith(path)


def test_a_key_with_half_a_surrogate_pair_is_told_as_that() -> None:
    with pytest.raises(
        UnserializableError, match=r"result\.a\['\\ud83d'\] .*its key is a text with half of a surrogate pair"
    ):
        to_plain_json({"a": {"\ud83d": 1}})


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: dict[str, Any] = {"deep": []}
    loop["deep"].append(loop)
    with pytest.raises(UnserializableError, match=r"result\.deep\[0\] has no plain JSON form: it contains itself"):
        to_plain_json(loop)


def test_a_value_that_is_nested_without_end_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(UnserializableError, match="levels deep"):
        to_plain_json(deep)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_plain_json_stays_as_it_is(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    assert to_plain_json(value) == value


@given(st.recursive(st.binary() | st.datetimes() | st.decimals() | st.floats() | st.uuids(), st.lists, max_leaves=10))
def test_whatever_becomes_plain_is_json(value: object) -> None:
    json.dumps(to_plain_json(value), allow_nan=False)
