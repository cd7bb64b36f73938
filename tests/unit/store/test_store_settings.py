"""Settings of the store that do not go together are refused, with what to set."""

from __future__ import annotations

from typing import Any

import pytest

from result_store.settings import StoreSettings
from workflow_events.errors import ConfigurationError


@pytest.mark.parametrize(
    "settings, said",
    [
        (
            {"processors": 2, "clickhouse_url": "chdb:///tmp/analytics"},
            "chdb is a database of one process: set RESULT_STORE_PROCESSORS to 1, or RESULT_STORE_CLICKHOUSE_URL",
        ),
        ({"processors": 0}, "RESULT_STORE_PROCESSORS"),
        ({"auth": "none", "api_host": "0.0.0.0"}, "RESULT_STORE_API_HOST to 127.0.0.1"),
    ],
    ids=["two processes and chdb", "no processor", "open to everybody, elsewhere"],
)
def test_what_does_not_hold_names_the_variable_and_what_to_set(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        StoreSettings(**settings, _env_file=None)
    assert said in str(caught.value)


def test_several_processes_may_share_a_clickhouse_server_and_one_may_have_chdb() -> None:
    assert StoreSettings(processors=2, clickhouse_url="http://h:8123/d", _env_file=None).processors == 2
    assert StoreSettings(clickhouse_url="chdb:///tmp/analytics", _env_file=None).processors == 1
