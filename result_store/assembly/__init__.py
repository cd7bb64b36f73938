"""What the store is made of: its parts, and which of them each role has. :mod:`result_store.wiring` builds and checks them."""

from __future__ import annotations

from typing import Final

from result_store.assembly.data_parts import DATA_PARTS
from result_store.assembly.kafka_parts import KAFKA_PARTS
from result_store.assembly.serving_parts import SERVING_PARTS
from result_store.assembly.store import OPTIONAL, Store, probes
from result_store.roles import Role
from result_store.wiring import Wiring

__all__ = ["OPTIONAL", "WIRING", "Store", "probes"]

WIRING: Final = Wiring[Store](
    (*KAFKA_PARTS, *DATA_PARTS, *SERVING_PARTS),
    {
        Role.ALL: ("processor", "api"),
        Role.PROCESSOR: ("processor",),
        Role.API: ("api",),
        Role.REPORT: ("questions",),
        Role.MIGRATE: ("migrations",),
        Role.REPLAY: ("replaying",),
    },
)
"""The whole store."""
