"""The register table and what is generated from it."""

import json
import subprocess

import pytest

from spatten_hw.control.counters import events_layout
from spatten_hw.interface.cheader import c_header, registers_json
from spatten_hw.interface.errors import ErrorCode
from spatten_hw.interface.registers import COUNTERS, counter_offset, register_map, registers
from spatten_hw.presets import EIGHTH, PRESETS, SMALL

USER = r"""
#include "spatten_regs.h"
#include <stdio.h>
int main(void)
{
    uint64_t words[SPATTEN_JOB_HEADER_WORDS + SPATTEN_JOB_SCALE_WORDS] = {0};
    spatten_put(words, SPATTEN_JOB_TOKENS, 384);
    spatten_put(words, SPATTEN_JOB_KEEP_TOKENS, 200);
    spatten_put(words, SPATTEN_JOB_Q_BASE, 0x123456789abcdef0u);
    spatten_put(words + SPATTEN_JOB_HEADER_WORDS, SPATTEN_SCALE_OUT_SHIFT, 17);
    printf("%llx %llx %llx %s %x %x\n", (unsigned long long)words[2], (unsigned long long)words[5],
           (unsigned long long)words[SPATTEN_JOB_HEADER_WORDS + 1], spatten_error_text(SPATTEN_ERROR_BAD_DIM),
           SPATTEN_STATUS, SPATTEN_EXPECTED_CONFIG_HASH);
    return 0;
}
"""


@pytest.mark.parametrize("name", PRESETS)
def test_offsets_and_fields_do_not_overlap(name):
    table = registers(PRESETS[name])
    offsets = [r.offset for r in table]
    assert offsets == sorted(set(offsets)) and all(o % 4 == 0 for o in offsets)
    assert len({r.name for r in table}) == len(table)
    for r in table:
        bits = [b for f in r.fields for b in range(f.lsb, f.lsb + f.width)]
        assert len(bits) == len(set(bits)) and all(b < 32 for b in bits)
        assert 0 <= r.reset < 1 << 32
    by_name = register_map(PRESETS[name])
    assert by_name["MULTIPLIERS"].reset == PRESETS[name].multipliers
    assert by_name["BYTES_OUT_LO"].offset == counter_offset("bytes_out")


def test_every_counter_but_cycles_has_an_event():
    assert [n for n, _ in events_layout(EIGHTH)] == [k.name for k in COUNTERS if k.name != "cycles"]


def test_every_error_has_a_text():
    assert all(e.text and e.text.isprintable() and '"' not in e.text for e in ErrorCode)


def test_json_is_deterministic_and_complete():
    text = registers_json(SMALL)
    assert text == registers_json(SMALL)
    content = json.loads(text)
    assert content["config_hash"] == SMALL.hash
    assert {r["name"] for r in content["registers"]} == {r.name for r in registers(SMALL)}
    assert {e["code"] for e in content["errors"]} == {int(e) for e in ErrorCode}


@pytest.mark.parametrize("compiler", [["gcc", "-std=c99", "-pedantic"], ["g++", "-x", "c++", "-std=c++11"]])
def test_header_compiles_and_works(tmp_path, compiler):
    (tmp_path / "spatten_regs.h").write_text(c_header(SMALL))
    (tmp_path / "user.c").write_text(USER)
    subprocess.run([*compiler, "-Wall", "-Wextra", "-Werror", "user.c", "-o", "user"], cwd=tmp_path, check=True)
    said = subprocess.run(["./user"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout.split()
    assert said[:3] == [f"{200 << 32 | 384:x}", "123456789abcdef0", f"{17 << 32:x}"]
    assert said[-2:] == ["c", f"{SMALL.hash:x}"]
    assert " ".join(said[3:-2]) == ErrorCode.BAD_DIM.text.replace("…", "..")
