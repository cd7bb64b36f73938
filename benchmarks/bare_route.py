"""The baseline of the store's API: a route of the same framework on the same server that answers a constant of the same size.

``python -m benchmarks.bare_route PORT BYTES``
"""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI

__all__ = ["bare_app"]


def bare_app(size: int) -> FastAPI:
    """An application with one route."""
    app = FastAPI(openapi_url=None)
    answer = {"text": "x" * size}

    @app.get("/bare/{number}")
    async def bare(number: int) -> dict[str, str]:  # noqa: ARG001 - routes have parameters
        return answer

    return app


if __name__ == "__main__":
    port, size = map(int, sys.argv[1:3])
    uvicorn.run(bare_app(size), host="127.0.0.1", port=port, log_level="warning", access_log=False)
