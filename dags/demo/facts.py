"""What an installed distribution says of itself: the fields of its metadata that the checks judge, and its files.

Nothing here judges. Broken metadata is a fact too: it is recorded in ``problems`` and never raised, since an audit has to finish.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.metadata import RawMetadata, parse_email
from pydantic import BaseModel, ConfigDict

from demo.inventory import folder_name, key_of

if TYPE_CHECKING:
    from importlib.metadata import Distribution, PackagePath

_LICENCE_NAME = re.compile(r"^(un)?licen[cs]e|^copying|^copyright", re.IGNORECASE)
_BUNDLED_PART = re.compile(r"vendor|third[-_ ]?party|3rd[-_ ]?party|bundled|extern(al|s)?$", re.IGNORECASE)
_NO_LICENCE_SUFFIX = {
    ".py",
    ".pyi",
    ".pyc",
    ".so",
    ".json",
    ".js",
    ".css",
    ".h",
    ".c",
    ".toml",
    ".ini",
    ".yaml",
    ".yml",
    ".html",
}
_PYTHON = re.compile(r"^Programming Language :: Python :: (\d+\.\d+)$")
_STATUS = re.compile(r"^Development Status :: (\d) - (.+)$")


class LicenceFile(BaseModel):
    """One licence file that came with the distribution."""

    model_config = ConfigDict(frozen=True)

    path: str
    """Relative to the folder that the distribution is installed in."""
    bundled: bool
    """True: it belongs to somebody else's code which the distribution carries along."""

    @property
    def shown(self) -> str:
        """The path as a reader wants it: without the ``.dist-info`` folder, which says nothing new."""
        return re.sub(r"^[^/]+\.dist-info/(licenses/)?", "", self.path)


class DistributionFacts(BaseModel):
    """The declared facts of one distribution. Empty strings and ``UNKNOWN`` are read as not declared."""

    model_config = ConfigDict(frozen=True)

    name: str
    key: str
    version: str
    summary: str = ""
    metadata_version: str = ""
    license_expression: str | None = None
    license_field: str | None = None
    license_classifiers: tuple[str, ...] = ()
    """Without the leading ``License ::`` and ``OSI Approved ::``."""
    licence_files: tuple[LicenceFile, ...] = ()
    development_status: str | None = None
    """``7 - Inactive`` and the like."""
    python_versions: tuple[str, ...] = ()
    """The minor versions named in classifiers, as written, in their order."""
    requires_python: str | None = None
    root_is_purelib: bool | None = None
    direct_url: str | None = None
    """The kind of PEP 610 origin (``editable``, ``directory``, ``vcs``, ``archive``), or None for an ordinary index install."""
    file_count: int | None = None
    """Files named by RECORD; None where there is no readable RECORD."""
    problems: tuple[str, ...] = ()
    """What was wrong with the metadata itself."""


def read_facts(distribution: Distribution) -> DistributionFacts:
    """Read everything the checks need to know, from the distribution's own files and nothing else."""
    problems: list[str] = []
    raw = _raw_metadata(distribution, problems)
    classifiers = raw.get("classifiers") or []
    files = recorded_files(distribution)
    if files is None:
        problems.append("no readable RECORD: which files belong to it is not known")
    return DistributionFacts(
        name=_text(raw.get("name")) or folder_name(distribution),
        key=key_of(distribution),
        version=_text(raw.get("version")) or "unknown",
        summary=(_text(raw.get("summary")) or "").splitlines()[0] if _text(raw.get("summary")) else "",
        metadata_version=_text(raw.get("metadata_version")) or "",
        license_expression=_text(raw.get("license_expression")),
        license_field=_text(raw.get("license")),
        license_classifiers=tuple(_licence_classifiers(classifiers)),
        licence_files=tuple(_licence_files(files or [])),
        development_status=next((f"{m[1]} - {m[2]}" for c in classifiers if (m := _STATUS.match(c))), None),
        python_versions=tuple(m[1] for c in classifiers if (m := _PYTHON.match(c))),
        requires_python=_text(raw.get("requires_python")),
        root_is_purelib=_root_is_purelib(distribution),
        direct_url=_direct_url_kind(distribution, problems),
        file_count=None if files is None else len(files),
        problems=tuple(problems),
    )


def recorded_files(distribution: Distribution) -> list[PackagePath] | None:
    """The files that RECORD names, or None where there is no RECORD or it is damaged."""
    try:
        files = distribution.files
    except Exception:  # noqa: BLE001 - csv.Error, ValueError, UnicodeDecodeError, ...: by what is wrong with RECORD
        return None
    return None if files is None else list(files)


def read_recorded(distribution: Distribution, path: str, *, limit: int = 512 * 1024) -> str | None:
    """At most ``limit`` bytes of an installed text file, or None where it is gone or is no file. Odd bytes are replaced."""
    try:
        with Path(str(distribution.locate_file(path))).open("rb") as file:
            return file.read(limit).decode("utf-8", errors="replace")
    except OSError:
        return None


def metadata_text(distribution: Distribution) -> str | None:
    """The text of METADATA (or of an old PKG-INFO), or None where neither can be read."""
    for name in ("METADATA", "PKG-INFO"):
        try:
            text = distribution.read_text(name)
        except (OSError, UnicodeDecodeError):
            continue
        if text:
            return text
    return None


def _raw_metadata(distribution: Distribution, problems: list[str]) -> RawMetadata:
    text = metadata_text(distribution)
    if text is None:
        problems.append("no readable METADATA")
        return RawMetadata()
    raw, unparsed = parse_email(text)
    problems += [f"METADATA has no {field.title()}" for field in ("name", "version") if not _text(raw.get(field))]
    if unparsed:
        problems.append(f"METADATA has fields that could not be read: {', '.join(sorted(unparsed))}")
    return raw


def _text(value: object) -> str | None:
    stripped = value.strip() if isinstance(value, str) else ""
    return None if stripped.upper() in {"", "UNKNOWN", "NONE"} else stripped


def _licence_classifiers(classifiers: list[str]) -> list[str]:
    tails = [c.split(" :: ")[1:] for c in classifiers if c.startswith("License :: ")]
    names = [tail[-1] for tail in tails if tail]
    return [name for name in dict.fromkeys(names) if name not in {"OSI Approved", "DFSG approved"}]


def _licence_files(files: list[PackagePath]) -> list[LicenceFile]:
    own: list[LicenceFile] = []
    elsewhere: list[LicenceFile] = []
    for file in files:
        if file.suffix.lower() in _NO_LICENCE_SUFFIX or not (
            _LICENCE_NAME.match(file.name) or "licenses" in file.parts[:-1]
        ):
            continue
        if re.match(r"(authors|notice|changelog|contributors)", file.name, re.IGNORECASE):
            continue
        in_dist_info = file.parts[0].endswith((".dist-info", ".egg-info"))
        bundled = any(_BUNDLED_PART.search(part) for part in file.parts)
        entry = LicenceFile(path=file.as_posix(), bundled=bundled or (not in_dist_info and len(file.parts) > 2))
        (own if in_dist_info else elsewhere).append(entry)
    if any(not file.bundled for file in own):
        # Its own licence is where the standard puts it; a copy inside its packages then belongs to something bundled.
        elsewhere = [LicenceFile(path=file.path, bundled=True) for file in elsewhere]
    return own + elsewhere


def _root_is_purelib(distribution: Distribution) -> bool | None:
    try:
        text = distribution.read_text("WHEEL") or ""
    except (OSError, UnicodeDecodeError):
        return None
    found = re.search(r"(?im)^Root-Is-Purelib:\s*(true|false)\s*$", text)
    return None if found is None else found[1].lower() == "true"


def _direct_url_kind(distribution: Distribution, problems: list[str]) -> str | None:
    try:
        text = distribution.read_text("direct_url.json")
        content = json.loads(text) if text else None
    except (OSError, ValueError):
        problems.append("direct_url.json cannot be read")
        return None
    if not isinstance(content, dict):
        return None
    directory = content.get("dir_info")
    if isinstance(directory, dict):
        return "editable" if directory.get("editable") else "directory"
    return "vcs" if "vcs_info" in content else "archive"
