"""A graph for worker processes."""

from __future__ import annotations

from tests.integration.worker.graphs import add, one_node

graph = one_node(add)
