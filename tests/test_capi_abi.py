# SPDX-License-Identifier: BSD-3-Clause
"""The ABI: sizes and offsets that never change, and a reference that is complete."""

import re
import subprocess
from pathlib import Path

import build_consumer
import pytest

from wspace import foreign

ROOT = Path(__file__).parents[1]
HEADER = Path(build_consumer.wspace.get_include()) / "wspace" / "capi.h"
FIRST = ROOT / "tests" / "abi" / "1.0"
GOLDEN = ROOT / "tests" / "abi" / "1.0" / "layout.txt"

STRUCTS = {
    "wsp_mark": "arena generation serial depth reserved",
    "wsp_ref": "arena ptr generation serial pin pins reserved",
    "wsp_cleanup": "fn arg next serial",
    "wspace_stats": "struct_size generation capacity used high_water spilled retained "
    "reserved raw_used raw_high_water allocations spills",
}
STATUSES = (
    "OK ENOMEM EFULL EINVAL EOVERFLOW ETHREAD ESTALE EBUSY ECLOSED EFORKED EFILE "
    "EHELD EORDER"
)


def table_of(header):
    """Return the fields of the table in a header, in order."""
    body = re.search(
        r"typedef struct wspace_table \{(.*?)\} wspace_table;", header, re.S
    )
    return re.findall(r"\(\*(\w+)\)\(", body[1])


def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)


def layout(include, tmp_path):
    """Compile a program that prints sizes, offsets and numbers; return its lines."""
    fields = {**STRUCTS, "wspace_table": "abi_major abi_minor struct_size"}
    fields["wspace_table"] += " " + " ".join(
        table_of((FIRST / "wspace" / "capi.h").read_text())
    )
    lines = ["#include <stdio.h>", '#include "wspace/capi.h"', "int main(void) {"]
    for struct, names in fields.items():
        if struct != "wspace_table":  # which grows
            lines.append(f'printf("{struct} %zu\\n", sizeof({struct}));')
        lines += [
            f'printf("{struct}.{name} %zu\\n", offsetof({struct}, {name}));'
            for name in names.split()
        ]
    lines += [f'printf("WSP_{n} %d\\n", (int)WSP_{n});' for n in STATUSES.split()]
    lines += [
        f'printf("{n} %d\\n", (int){n});'
        for n in ("WSPACE_ABI_MAJOR", "WSPACE_PLAIN", "WSPACE_FORTRAN", "WSPACE_ZERO")
    ]
    source, program = tmp_path / "layout.c", tmp_path / "layout"
    source.write_text("\n".join([*lines, "return 0; }"]))
    build_consumer.compile_with(
        "cc", "-std=c11", *build_consumer.flags(include), "-c", source, "-o", program
    )
    # Only the C library is linked: import_wspace is inline and not called.
    build_consumer.compile_with(
        "cc",
        *("-std=c11", "-O2", *build_consumer.flags(include), source, "-o", program),
        "-Wl,--unresolved-symbols=ignore-all",
    )
    return subprocess.run(program, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("include", [None, FIRST], ids=["installed", "first"])
def test_sizes_offsets_and_numbers_never_change(include, tmp_path):
    found = layout(include, tmp_path)
    assert len(found.splitlines()) > 80
    assert found == GOLDEN.read_text()


def test_the_table_is_only_appended_to():
    first = table_of((FIRST / "wspace" / "capi.h").read_text())
    now = table_of(HEADER.read_text())
    assert len(first) == 36
    assert now[: len(first)] == first
    prefix = re.search(
        r"typedef struct wspace_table \{\s*(.*?;\s*.*?;)", HEADER.read_text()
    )
    assert prefix[1].split() == (
        ["uint32_t", "abi_major,", "abi_minor;", "size_t", "struct_size;"]
    )


def test_every_function_of_the_table_has_its_inline_one():
    text = without_comments(HEADER.read_text())
    called = re.findall(r"wspace_api->(\w+)\(", text)
    assert sorted(called) == sorted(table_of(text))


def test_foreign_callers_get_the_functions_of_the_table():
    assert list(foreign.functions()) == table_of(HEADER.read_text())


def test_cython_declares_the_header_and_nothing_else():
    declared = (HEADER.parents[2] / "__init__.pxd").read_text()
    names = set(re.findall(r"\b(wspace_\w+)\(", declared)) | {"import_wspace"}
    text = without_comments(HEADER.read_text())
    functions = set(re.findall(r"static inline [\w\s*]*?\b(\w+)\(", text))
    assert len(functions) == 37
    assert names == functions
    assert "cdef class" not in declared
    assert not re.search(r"^cdef (?!extern)", declared, re.M)


# the documentation


def test_the_reference_has_every_function_and_no_other():
    page = (ROOT / "docs" / "c-api.md").read_text()
    text = without_comments(HEADER.read_text())
    functions = set(re.findall(r"static inline [\w\s*]*?\b(\w+)\(", text))
    documented = set(re.findall(r"^\| `(\w+)\(", page, re.M))
    assert documented == functions


def test_the_reference_has_the_signatures_of_the_header():
    page = (ROOT / "docs" / "c-api.md").read_text()
    text = " ".join(without_comments(HEADER.read_text()).split())
    rows = re.findall(r"^\| `(\w+)\(([^)`]*)\)`", page, re.M)
    assert len(rows) == 37
    for name, arguments in rows:
        assert f"{name}({arguments}) {{" in text, name


def test_the_reference_has_every_status():
    page = (ROOT / "docs" / "c-api.md").read_text()
    named = re.findall(r"^\| `WSP_(\w+)` \|", page, re.M)
    assert named == STATUSES.split()
