"""How many tokens a run has used."""

from __future__ import annotations

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.messages.ai import UsageMetadata

from langgraph_integration.token_usage import token_usage


def said(identity: str, tokens: int) -> AIMessage:
    usage = UsageMetadata(input_tokens=tokens, output_tokens=1, total_tokens=tokens + 1)
    return AIMessage("…", id=identity, usage_metadata=usage)


def test_the_counts_of_all_messages_are_summed() -> None:
    state = {"messages": [HumanMessage("hi"), said("a", 10), said("b", 20)], "notes": [said("c", 5)], "x": 1}
    assert token_usage(state) == {"input_tokens": 35, "output_tokens": 3, "total_tokens": 38}


def test_messages_of_earlier_requests_do_not_count() -> None:
    before = {"messages": [said("a", 10)]}
    assert token_usage({"messages": [said("a", 10), said("b", 20)]}, before) == {
        "input_tokens": 20,
        "output_tokens": 1,
        "total_tokens": 21,
    }


def test_without_counts_there_is_no_usage() -> None:
    assert token_usage({"messages": [AIMessage("…")]}) is None
    assert token_usage(3) is None
