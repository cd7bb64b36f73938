"""What a process that serves leaves alone."""

from __future__ import annotations

import subprocess
import sys

_SCRIPT = """
import gc
import weakref
from result_store.garbage import settle
loaded = len(gc.get_objects())
settle()
assert gc.get_freeze_count() > 0.9 * loaded, "what was loaded is still walked through"
before = gc.get_stats()[0]["collections"]
kept = [[] for _ in range(40_000)]
assert gc.get_stats()[0]["collections"] == before, "a batch's objects are looked at while it is made"
class Ring: pass
ring = Ring(); ring.me = ring; seen = weakref.ref(ring); del ring
kept += [[] for _ in range(40_000)]
assert seen() is None, "what is in a ring is never found"
"""


def test_what_is_loaded_is_frozen_and_new_rings_are_still_found() -> None:
    subprocess.run([sys.executable, "-c", _SCRIPT], check=True, timeout=60)
