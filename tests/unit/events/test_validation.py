from __future__ import annotations

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from workflow_events.validation import explain


class Inner(BaseModel):
    x: int


class Outer(BaseModel):
    a: int
    many: list[Inner]


def said(adapter: TypeAdapter[object], value: object) -> str:
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python(value)
    return explain(caught.value)


def test_each_wrong_field_is_named_by_its_path() -> None:
    told = said(TypeAdapter(Outer), {"many": [{"x": 1}, {"x": "secret"}]})
    assert told == "a: Field required; many.1.x: Input should be a valid integer, unable to parse string as an integer"


def test_what_has_no_field_is_called_the_whole() -> None:
    assert said(TypeAdapter(int), "secret").startswith("the whole: Input should be a valid integer")


def test_five_are_shown_and_the_others_counted() -> None:
    five = said(TypeAdapter(list[int]), ["x"] * 5)
    assert five.count("Input should be") == 5
    assert "more" not in five
    seven = said(TypeAdapter(list[int]), ["x"] * 7)
    assert seven == f"{five} (and 2 more)"
