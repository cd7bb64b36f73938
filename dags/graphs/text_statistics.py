"""Counts a text's words, sentences and most frequent words. Two branches that run side by side, and their summary."""

from __future__ import annotations

import re
from collections import Counter
from typing import TypedDict

from langgraph.graph import START, StateGraph

from langgraph_integration import publish_result_node

_COMMON = frozenset({"a", "an", "and", "in", "is", "it", "of", "on", "that", "the", "to", "with"})


class Statistics(TypedDict, total=False):
    """The graph's state; ``text`` is the request, the rest becomes the result."""

    text: str
    words: int
    sentences: int
    frequent: list[str]
    summary: str


def count_words(state: Statistics) -> Statistics:
    """Count the words, and find those that come most often."""
    words = re.findall(r"[\w'-]+", state["text"].lower())
    ranked = Counter(word for word in words if word not in _COMMON).most_common(3)
    return {"words": len(words), "frequent": [word for word, _ in ranked]}


def count_sentences(state: Statistics) -> Statistics:
    """Count the sentences."""
    return {"sentences": len(re.findall(r"[^.!?]+[.!?]+", state["text"]))}


def summarise(state: Statistics) -> Statistics:
    """Put it into a sentence."""
    about = ", ".join(state["frequent"]) or "nothing"
    return {"summary": f"{state['words']} words in {state['sentences']} sentences, mostly about {about}."}


builder = StateGraph(Statistics)
builder.add_node(count_words)
builder.add_node(count_sentences)
builder.add_node(summarise)
builder.add_edge(START, "count_words")
builder.add_edge(START, "count_sentences")
builder.add_edge(["count_words", "count_sentences"], "summarise")
publish_result_node(builder, select=["words", "sentences", "frequent", "summary"])

graph = builder
