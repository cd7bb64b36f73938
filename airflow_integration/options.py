"""The provider's options in ``airflow.cfg``, section ``[workflow_events]``, and those of Airflow's that it follows.

Defaults are given here once more than in the provider's metadata: a process that has not loaded the providers' defaults
(a task's, in some versions) must not fail for it. A test keeps the two the same.
"""

from __future__ import annotations

from airflow.sdk.configuration import conf

from airflow_integration.provider import CONFIG_SECTION

__all__ = [
    "DEFAULT_INLINE_RESULT_LIMIT",
    "DEFAULT_INLINE_WAIT",
    "DEFAULT_KILL_WATCH_INTERVAL",
    "DEFAULT_SETTLE_MARGIN",
    "default_deferrable",
    "heartbeat_interval",
    "inline_result_limit",
    "inline_wait",
    "kill_watch_interval",
    "run_url",
    "settle_margin",
]

DEFAULT_INLINE_WAIT = 2.0
DEFAULT_SETTLE_MARGIN = 5.0
DEFAULT_KILL_WATCH_INTERVAL = 1.0
DEFAULT_INLINE_RESULT_LIMIT = 16_384


def default_deferrable() -> bool:
    """Airflow's ``[operators] default_deferrable``."""
    return bool(conf.getboolean("operators", "default_deferrable", fallback=False))


def heartbeat_interval() -> float:
    """Airflow's ``[workers] min_heartbeat_interval``, in seconds: how late a supervisor may see its task's exit."""
    return float(conf.getfloat("workers", "min_heartbeat_interval", fallback=5.0))


def inline_wait() -> float:
    """Seconds that a deferrable task waits in its worker slot before it defers."""
    return max(0.0, float(conf.getfloat(CONFIG_SECTION, "inline_wait", fallback=DEFAULT_INLINE_WAIT)))


def settle_margin() -> float:
    """Seconds beyond the supervisor's notice of an exit for which a trigger keeps an early result."""
    return max(0.0, float(conf.getfloat(CONFIG_SECTION, "settle_margin", fallback=DEFAULT_SETTLE_MARGIN)))


def kill_watch_interval() -> float:
    """Seconds between two looks whether a task that waits is still to run; 0: Airflow's own looks will do."""
    return max(0.0, float(conf.getfloat(CONFIG_SECTION, "kill_watch_interval", fallback=DEFAULT_KILL_WATCH_INTERVAL)))


def inline_result_limit() -> int:
    """Bytes up to which a result travels in the trigger's event."""
    return max(0, int(conf.getint(CONFIG_SECTION, "inline_result_limit", fallback=DEFAULT_INLINE_RESULT_LIMIT)))


def run_url() -> str:
    """The template of a run's address, or an empty text."""
    return str(conf.get(CONFIG_SECTION, "run_url", fallback="") or "")
