"""The store's page for people: what is in flight, what became of a run, how far a batch is, and what fails.

Rendered on the server (Jinja), with one style sheet and one small script; nothing is loaded from elsewhere.
"""

from __future__ import annotations

from result_store.page.routes import router

__all__ = ["router"]
