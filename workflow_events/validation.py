"""pydantic's findings, in a sentence that holds no value: values may be secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = ["explain"]

_MOST = 5


def explain(error: ValidationError) -> str:
    """Which fields are wrong and how, the first five of them."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    shown = "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'the whole'}: {problem['msg']}" for problem in problems[:_MOST]
    )
    return f"{shown} (and {len(problems) - _MOST} more)" if len(problems) > _MOST else shown
