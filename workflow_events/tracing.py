"""Trace context in message headers (W3C Trace Context, by OpenTelemetry's own propagators).

Tracing is on where OpenTelemetry is loaded in the process and a span is current; nothing here loads it.
"""

from __future__ import annotations

import sys

__all__ = ["inject"]


def inject() -> list[tuple[str, bytes]]:
    """The current span's context as headers (``traceparent``, ``tracestate``); empty where there is none."""
    propagate = sys.modules.get("opentelemetry.propagate")
    if propagate is None:
        return []
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return [(name, value.encode()) for name, value in carrier.items()]
