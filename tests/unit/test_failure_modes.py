"""What the documentation says of failures is shown by tests, and these exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT.joinpath("docs", "failure-modes.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| failure |")]
REFERENCES = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


def test_every_row_names_a_test() -> None:
    assert ROWS
    assert [row for row in ROWS if "::test_" not in row] == []


@pytest.mark.parametrize("file,name", REFERENCES, ids=[name for _, name in REFERENCES])
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    assert re.search(rf"^(async )?def {name}\(", ROOT.joinpath(file).read_text(encoding="utf-8"), flags=re.MULTILINE)
