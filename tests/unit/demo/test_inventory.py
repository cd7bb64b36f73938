from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from demo.facts import read_facts
from demo.inventory import DistributionNotInstalledError, chunked, find, installed

if TYPE_CHECKING:
    from tests.unit.demo.conftest import MakeDistribution


@given(names=st.lists(st.text(min_size=1), unique=True), chunks=st.integers(1, 50))
def test_chunks_hold_every_name_once_and_are_of_nearly_one_length(names: list[str], chunks: int) -> None:
    cut = chunked(names, chunks)

    assert sorted(name for chunk in cut for name in chunk) == sorted(names)
    assert len(cut) <= chunks
    lengths = {len(chunk) for chunk in cut}
    assert not lengths or (min(lengths) > 0 and max(lengths) - min(lengths) <= 1)


def test_no_chunk_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, not 0"):
        chunked(["a"], 0)


def test_the_first_folder_wins_as_it_does_for_import(install: MakeDistribution, site: Path, tmp_path: Path) -> None:
    install("made-up", "1.0")
    other = tmp_path / "other"
    (other / "Made_Up-2.0.dist-info").mkdir(parents=True)
    (other / "Made_Up-2.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.4\nName: Made.Up\nVersion: 2.0\n")

    found = installed([str(site), str(other)])

    assert {name: distribution.version for name, distribution in found.items()} == {"made-up": "1.0"}


@pytest.mark.parametrize("spelling", ["made-up", "Made_Up", "MADE.UP"])
def test_a_distribution_is_found_in_any_spelling(install: MakeDistribution, site: Path, spelling: str) -> None:
    install("made-up")

    assert read_facts(find(spelling, [str(site)])).name == "made-up"


def test_a_distribution_that_is_not_there_is_named(site: Path) -> None:
    with pytest.raises(DistributionNotInstalledError, match="'absent'"):
        find("absent", [str(site)])


@pytest.mark.parametrize("broken", ["METADATA", "RECORD", "both"])
def test_a_broken_distribution_is_listed_and_says_what_is_wrong(
    install: MakeDistribution, site: Path, broken: str
) -> None:
    install("made-up")
    for name in ("METADATA", "RECORD") if broken == "both" else (broken,):
        (site / "made_up-1.0.dist-info" / name).write_bytes(b"\xff\xfe\0 nonsense\n\n")

    (key,) = installed([str(site)])

    assert key == "made-up"
    assert read_facts(find(key, [str(site)])).problems


def test_this_environments_inventory_is_what_the_standard_library_lists() -> None:
    listed = {canonicalize_name(distribution.metadata["Name"]) for distribution in importlib.metadata.distributions()}

    assert set(installed()) == listed
