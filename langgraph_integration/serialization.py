"""Which plain JSON a graph's state becomes.

Messages, pydantic models, dataclasses, UUIDs, times, enums, decimals, paths and sets become what pydantic makes of them;
bytes become URL-safe base64; NaN and the infinities become null, as in ``JSON.stringify``. Nothing is revived from the
wire by type: a reader gets dicts, lists, strings, numbers, booleans and null.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, TypeAlias, cast

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, from_json, to_json

from langgraph_integration.errors import UnserializableError

__all__ = ["Json", "to_plain_json", "to_plain_object"]

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

_MAX_DEPTH = 200  # pydantic-core itself stops at 255; what it nests more deeply cannot be read back elsewhere either
_HALF = "a text with half of a surrogate pair"
_UNREADABLE = (PydanticSerializationError, ValueError, TypeError, RecursionError)


def to_plain_json(value: object, *, name: str = "result") -> Json:
    """``value`` as plain JSON.

    Args:
        name: what to call ``value`` in an error's path.

    Raises:
        UnserializableError: something in it has no plain form; the message names its path, such as
            ``result.docs[3].socket``.
    """
    try:
        return _quick(value)
    except _UNREADABLE:
        # Slow, and only walked on a fault: it finds the culprit, and passes what only a model's own options refused.
        return _walk(value, name, ())


def to_plain_object(value: object, *, name: str = "result") -> dict[str, Any]:
    """``value`` as a JSON object, which is what the wire carries; a value of another kind becomes ``{"output": value}``.

    Raises:
        UnserializableError: as :func:`to_plain_json`.
    """
    if value is None:
        return {}
    plain = to_plain_json(value, name=name)
    return plain if isinstance(plain, dict) else {"output": plain}


def _quick(value: object) -> Json:
    plain: Json = from_json(to_json(value, inf_nan_mode="null", bytes_mode="base64"))
    return plain


def _walk(value: object, path: str, above: tuple[int, ...]) -> Json:
    if id(value) in above:
        raise UnserializableError(path, "it contains itself")
    if len(above) >= _MAX_DEPTH:
        raise UnserializableError(path, f"it is nested more than {_MAX_DEPTH} levels deep")
    members = _members(value, path)
    if members is not None:
        inside = (*above, id(value))
        return {key: _walk(member, f"{path}.{key}", inside) for key, member in members}
    if isinstance(value, list | tuple | AbstractSet):
        inside = (*above, id(value))
        return [_walk(member, f"{path}[{index}]", inside) for index, member in enumerate(value)]
    try:
        return _quick(value)
    except _UNREADABLE as error:
        raise UnserializableError(path, _reason(value, error)) from error


def _members(value: object, path: str) -> Iterable[tuple[str, object]] | None:
    if isinstance(value, Mapping):
        return [(_key(key, path), member) for key, member in value.items()]
    if isinstance(value, BaseModel):
        names = [*type(value).model_fields, *type(value).model_computed_fields, *(value.model_extra or ())]
        return [(name, getattr(value, name)) for name in names]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    return None


def _key(key: object, path: str) -> str:
    try:
        plain = _quick({key: None})
    except _UNREADABLE as error:
        kind = _HALF if isinstance(key, str) else f"a {_kind(key)}"
        raise UnserializableError(f"{path}[{_shown(key)}]", f"its key is {kind}") from error
    return next(iter(cast("dict[str, Json]", plain)))


def _reason(value: object, error: BaseException) -> str:
    if isinstance(value, str):
        return f"it is {_HALF}"
    if isinstance(error, PydanticSerializationError) and "unknown type" in str(error):
        return f"it is a {_kind(value)}"
    return f"it is a {_kind(value)} ({error})"


def _kind(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _shown(key: object) -> str:
    text = ascii(key)
    return text if len(text) <= 60 else f"{text[:60]}…"
