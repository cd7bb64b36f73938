"""How many tokens a run has used, as far as its messages tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.messages import AIMessage

__all__ = ["token_usage"]


def token_usage(after: object, before: object = None) -> dict[str, Any] | None:
    """Token counts summed over the AI messages of a state; None where no message carries any.

    Only messages in lists at the state's top level are seen, which is where ``MessagesState`` and its like keep them.

    Args:
        after: the graph's state or output after the run.
        before: the state before it; its messages belong to earlier requests of the thread and are not counted.
    """
    earlier = {message.id for message in _messages(before) if message.id}
    total: Counter[str] = Counter()
    for message in _messages(after):
        if message.usage_metadata and message.id not in earlier:
            total.update(
                {name: count for name, count in message.usage_metadata.items() if isinstance(count, int) and count}
            )
    return dict(total) or None


def _messages(state: object) -> Iterator[AIMessage]:
    if not isinstance(state, Mapping):
        return
    for value in state.values():
        if isinstance(value, list):
            yield from (item for item in value if isinstance(item, AIMessage))
