"""What machine code a distribution installs, by looking at its files: extension modules, bundled libraries, programs."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from demo.facts import DistributionFacts, recorded_files
from demo.findings import Finding, note, review

if TYPE_CHECKING:
    from importlib.metadata import Distribution

_LIBRARY = re.compile(r"\.(so|dylib)(\.\d+)*$|\.(pyd|dll)$", re.IGNORECASE)
_EXTENSION = re.compile(r"\.(cpython|pypy|abi3|cp\d+)[^/]*\.(so|pyd)$", re.IGNORECASE)
_BUNDLED_DIRECTORY = re.compile(r"\.(libs|dylibs)$", re.IGNORECASE)
_MAGIC = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
"""How ELF and Mach-O files begin."""
_WINDOWS_MAGIC = b"MZ"
_TLS = re.compile(r"^lib(ssl|crypto|gnutls)", re.IGNORECASE)
_MEGABYTE = 1_000_000
_SHOWN = 4


class NativeCode(BaseModel):
    """What the native-code check came to. Sizes are bytes."""

    model_config = ConfigDict(frozen=True)

    extensions: int = 0
    """Modules that Python itself loads."""
    libraries: tuple[str, ...] = ()
    """Shared libraries which the wheel carries, by file name."""
    programs: tuple[str, ...] = ()
    """Native executables, by file name."""
    windows_programs: int = 0
    """Programs for Windows, which count for nothing else: templates of launchers, as pip and setuptools carry them."""
    size: int = 0
    """Of all of it but the programs for Windows."""
    findings: tuple[Finding, ...] = ()

    @property
    def found(self) -> bool:
        """Whether there is any."""
        return bool(self.extensions or self.libraries or self.programs)


def assess_native_code(facts: DistributionFacts, distribution: Distribution) -> NativeCode:
    """Look at every file that RECORD names and that is there; one without a telling suffix is judged by its first bytes."""
    extensions, windows_programs, size = 0, 0, 0
    libraries: list[str] = []
    programs: list[str] = []
    for file in recorded_files(distribution) or []:
        installed = Path(str(distribution.locate_file(file)))
        # Some readers of RECORD leave out what is gone and some do not; what is gone is no code here.
        if not installed.is_file() or not (kind := _kind_of(file, installed)):
            continue
        if kind == "windows program":
            windows_programs += 1
            continue
        size += installed.stat().st_size
        if kind == "extension":
            extensions += 1
        else:
            (libraries if kind == "library" else programs).append(file.name)
    code = NativeCode(
        extensions=extensions,
        libraries=tuple(sorted(libraries)),
        programs=tuple(sorted(programs)),
        windows_programs=windows_programs,
        size=size,
    )
    return code.model_copy(update={"findings": tuple(_findings(facts, code))})


def _kind_of(file: PurePosixPath, installed: Path) -> str | None:
    if _LIBRARY.search(file.name):
        if any(_BUNDLED_DIRECTORY.search(part) for part in file.parts[:-1]):
            return "library"
        return "extension" if _EXTENSION.search(file.name) or not file.name.startswith("lib") else "library"
    if file.suffix in {"", ".exe"}:
        start = _first_bytes(installed)
        if start.startswith(_MAGIC):
            return "program"
        return "windows program" if start.startswith(_WINDOWS_MAGIC) else None
    return None


def _first_bytes(installed: Path) -> bytes:
    try:
        with installed.open("rb") as content:
            return content.read(4)
    except OSError:
        return b""


def _findings(facts: DistributionFacts, code: NativeCode) -> list[Finding]:
    findings = []
    if code.windows_programs:
        findings.append(note("windows-programs", f"carries {code.windows_programs} programs for Windows"))
    if not code.found:
        return findings
    parts = []
    if code.extensions:
        parts.append(f"{code.extensions} extension module{'s' if code.extensions > 1 else ''}")
    if code.libraries:
        parts.append(f"{_named(code.libraries)} bundled")
    if code.programs:
        parts.append(f"the program{'s' if len(code.programs) > 1 else ''} {_named(code.programs)}")
    findings.append(note("native-code", f"native code: {', '.join(parts)}; {code.size / _MEGABYTE:.1f} MB"))
    tls = tuple(name for name in code.libraries if _TLS.match(name))
    if tls:
        findings.append(
            note("bundled-tls", f"carries its own {_named(tls)}: the system's security updates do not reach it")
        )
    if facts.root_is_purelib:
        findings.append(review("native-undeclared", "WHEEL says Root-Is-Purelib: true, yet it installs native code"))
    return findings


def _named(names: tuple[str, ...]) -> str:
    short = list(dict.fromkeys(re.sub(r"[-.][0-9a-f]{8}(?=\.)", "", name) for name in names))
    more = f" and {len(short) - _SHOWN} more" if len(short) > _SHOWN else ""
    return ", ".join(short[:_SHOWN]) + more
