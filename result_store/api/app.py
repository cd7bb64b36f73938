"""The application: the API and the page."""

from __future__ import annotations

from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI

from result_store import page
from result_store.api import batches, events, health, listings, results
from result_store.api.auth import Gate
from result_store.api.exchange import ExchangeMiddleware
from result_store.api.keys import ApiKeys
from result_store.api.openapi import describe
from result_store.api.problems import answer_problems
from result_store.api.rate_limit import RateLimit
from result_store.api.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from result_store.api.parts import ApiParts

__all__ = ["create_app"]

_DESCRIPTION: Final = """
What became of requests: their states, results and timelines, kept longer than the topics keep them.

Callers send `X-Internal-API-Key` and `X-Service-ID`; `X-User-ID` and `X-Tenant-ID` narrow what they see. `X-Correlation-ID` is
echoed, and stands in the log. Lists come in pages: `next` of one asks for the one after it, as `cursor`. Every refusal is a
problem (RFC 9457) that says what to do.
"""


def create_app(parts: ApiParts) -> FastAPI:
    """The ASGI application over some parts, which are started.

    It closes what it makes itself when it is shut down; the parts are closed by who made them.

    Raises:
        ConfigurationError: the settings' ``rate_limit`` is none.
    """
    settings = parts.settings
    engine = parts.database.engine
    rate = RateLimit(settings)
    keys = ApiKeys(engine)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await keys.close()
        await rate.close()

    app = FastAPI(
        title="Result store",
        description=_DESCRIPTION,
        version=version("workflow-events"),
        lifespan=lifespan,
        docs_url=None,  # it would load its scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # it would send callers to whatever host they have named
    )
    app.state.parts = parts
    app.state.gate = Gate(settings, keys, Sessions(engine, keys, settings.session_lifetime), rate)
    app.state.readiness = health.ReadinessCheck(parts.probes, optional=parts.optional)
    for router in (health.router, results.router, batches.router, listings.router, events.router):
        app.include_router(router)
    app.include_router(page.router(parts), include_in_schema=False)
    answer_problems(app)
    app.add_middleware(ExchangeMiddleware, metrics=parts.metrics)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]  # as FastAPI's documentation has it
    return app
