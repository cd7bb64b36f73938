"""What a process of the store is there for, and the command of each."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

__all__ = ["COMMANDS", "Role"]


class Role(StrEnum):
    """What a process of the store is there for."""

    ALL = "all"
    PROCESSOR = "processor"
    API = "api"
    REPORT = "report"
    MIGRATE = "migrate"
    REPLAY = "replay"


COMMANDS: Final[Mapping[Role, str]] = {
    Role.ALL: "result-store run",
    Role.PROCESSOR: "result-store run --only processor",
    Role.API: "result-store run --only api",
    Role.REPORT: "result-store report",
    Role.MIGRATE: "result-store migrate",
    Role.REPLAY: "result-store replay",
}
"""The command of each role: where its chains begin."""
