"""``python -m result_store``: the command ``result-store``."""

from __future__ import annotations

from result_store.cli import app

app()
