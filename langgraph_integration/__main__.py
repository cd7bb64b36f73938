"""``python -m langgraph_integration``: the command ``workflow-worker``."""

from __future__ import annotations

from langgraph_integration.cli import app

app()
