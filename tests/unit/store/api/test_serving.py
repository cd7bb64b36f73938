"""The ports that a process serves on."""

from __future__ import annotations

import socket

import pytest

from result_store.api.serving import HttpService
from result_store.metrics import StoreMetrics
from result_store.settings import StoreSettings
from workflow_events.errors import ConfigurationError


@pytest.mark.parametrize("which", ["api", "metrics"])
async def test_a_port_that_is_taken_is_named_with_the_variable_to_set(which: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = StoreSettings(**{"api_port": 0, "metrics_port": 0, f"{which}_port": port})
        service = HttpService(settings, _nothing, StoreMetrics())
        with pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1:{port} .*RESULT_STORE_{which.upper()}_PORT"):
            async with service.serving():
                raise AssertionError("it must not serve")
    assert service.url is None


async def _nothing(scope: object, receive: object, send: object) -> None:
    raise AssertionError("nobody asks")
