"""What it means that a real part cannot be had on this machine."""

from __future__ import annotations


class PartUnavailableError(RuntimeError):
    """A real part (a broker, a database, Airflow) is not installed and cannot be fetched.

    The message says what was looked for and how to get it. Fixtures turn this into a skipped test at a desk, and into a
    failed one where the environment variable `CI` is set, so that a green build always means that the part took part.
    """
