"""The baseline of the store's API: a route of the same framework on the same server that answers a constant of the same size.

Served as the store is: by :class:`~result_store.api.serving.HttpService`, in the same event loop.

``python -m benchmarks.bare_route PORT BYTES``
"""

from __future__ import annotations

import asyncio
import sys

from fastapi import FastAPI

from result_store.api.serving import HttpService
from result_store.event_loop import run_serving
from result_store.metrics import StoreMetrics
from result_store.settings import StoreSettings

__all__ = ["bare_app"]


def bare_app(size: int) -> FastAPI:
    """An application with one route."""
    app = FastAPI(openapi_url=None)
    answer = {"text": "x" * size}

    @app.get("/bare/{number}")
    async def bare(number: int) -> dict[str, str]:  # noqa: ARG001 - routes have parameters
        return answer

    return app


async def _serve(port: int, size: int) -> None:
    settings = StoreSettings(api_port=port, metrics=False)
    async with HttpService(settings, bare_app(size), StoreMetrics()).serving():
        await asyncio.Event().wait()


if __name__ == "__main__":
    run_serving(_serve(*map(int, sys.argv[1:3])))
