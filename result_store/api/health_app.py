"""The application of a process that answers no questions but those about its health."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI

from result_store.api import health

if TYPE_CHECKING:
    from collections.abc import Mapping

    from result_store.api.parts import Probe

__all__ = ["health_app"]


def health_app(probes: Mapping[str, Probe], optional: frozenset[str]) -> FastAPI:
    """``/healthz`` and ``/readyz``.

    Args:
        probes: what ``/readyz`` asks, by the names of the dependencies.
        optional: those of them that the process can do without.
    """
    app = FastAPI(title="Result store, processor", docs_url=None, redoc_url=None)
    app.state.readiness = health.ReadinessCheck(probes, optional=optional)
    app.include_router(health.router)
    return app
