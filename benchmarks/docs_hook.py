"""A hook of mkdocs: the interactive pages of the curves, and the program that they need, beside the page that links them.

They are made when the site is built, out of the committed figures; plotly.js is too large to be committed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

__all__ = ["on_files"]

# mkdocs runs this file by its path; the package around it is not installed.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.pages import SCRIPT, pages, script
from benchmarks.results import Results


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Called by mkdocs with the files that it has found."""
    results = Results.load(Path(config.docs_dir, "benchmarks", "results.json"))
    for name, content in {**pages(results), SCRIPT: script()}.items():
        files.append(File.generated(config, f"benchmarks/{name}", content=content))
    return files
