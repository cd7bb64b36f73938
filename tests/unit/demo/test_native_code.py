from __future__ import annotations

from typing import TYPE_CHECKING

from demo.facts import read_facts
from demo.native_code import NativeCode, assess_native_code

if TYPE_CHECKING:
    from tests.unit.demo.conftest import MakeDistribution

ELF = b"\x7fELF" + b"\0" * 96
NATIVE_WHEEL = "Root-Is-Purelib: false\nTag: cp311-cp311-manylinux_2_28_x86_64\n"


def codes(native: NativeCode) -> list[str]:
    return [finding.code for finding in native.findings]


def test_pure_python_has_none(install: MakeDistribution) -> None:
    distribution = install(files={"made_up/__init__.py": "", "made_up/data.bin": b"\x7fELF"})

    native = assess_native_code(read_facts(distribution), distribution)

    assert not native.found
    assert native.findings == ()


def test_extension_modules_libraries_and_programs_are_told_apart(install: MakeDistribution) -> None:
    files = {
        "made_up/_fast.cpython-311-x86_64-linux-gnu.so": ELF,
        "made_up/_slow.abi3.so": ELF,
        "made_up.libs/libpq-5e1a2b3c.so.5.17": ELF,
        "../../../bin/made-up": ELF,
    }
    distribution = install(files=files, wheel=NATIVE_WHEEL)

    native = assess_native_code(read_facts(distribution), distribution)

    assert native.extensions == 2
    assert native.libraries == ("libpq-5e1a2b3c.so.5.17",)
    assert native.programs == ("made-up",)
    assert native.size == 400
    assert codes(native) == ["native-code"]


def test_a_tls_library_of_its_own_is_worth_a_note(install: MakeDistribution) -> None:
    distribution = install(files={"made_up.libs/libssl-81ffa89e.so.3": ELF}, wheel=NATIVE_WHEEL)

    native = assess_native_code(read_facts(distribution), distribution)

    assert codes(native) == ["native-code", "bundled-tls"]
    assert "libssl.so.3" in native.findings[1].message


def test_native_code_in_a_wheel_that_calls_itself_pure_is_for_review(install: MakeDistribution) -> None:
    distribution = install(files={"made_up/hidden.so": ELF})

    native = assess_native_code(read_facts(distribution), distribution)

    assert "native-undeclared" in codes(native)


def test_launchers_for_windows_are_no_native_code_here(install: MakeDistribution) -> None:
    distribution = install(files={"made_up/cli-64.exe": b"MZ\x90\0"})

    native = assess_native_code(read_facts(distribution), distribution)

    assert not native.found
    assert codes(native) == ["windows-programs"]


def test_a_file_that_is_gone_does_not_count(install: MakeDistribution) -> None:
    record = "made_up/_fast.cpython-311-x86_64-linux-gnu.so,,\nbin/gone,,\n"
    distribution = install(extra={"RECORD": record}, wheel=NATIVE_WHEEL)

    native = assess_native_code(read_facts(distribution), distribution)

    assert (native.extensions, native.programs, native.size) == (0, (), 0)
