"""`registers.json` and `spatten_regs.h`: the register map and the descriptor for software in other languages.

Both depend on the configuration only; the same configuration gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import json

from ..config import SpAttenConfig
from .descriptor import FIELDS, HEADER_WORDS, SCALE_FIELDS, SCALE_WORDS
from .descriptor import Field as DescriptorField
from .errors import ErrorCode
from .registers import COUNTERS, Register, registers


def registers_dict(c: SpAttenConfig) -> dict[str, object]:
    """Everything a driver needs, as plain data."""
    return {
        "config_hash": c.hash,
        "registers": [
            {"name": r.name, "offset": r.offset, "access": r.access, "reset": r.reset, "doc": r.doc,
             "fields": [dataclasses.asdict(f) for f in r.fields]}
            for r in registers(c)
        ],
        "counters": [{"name": k.name, "unit": k.unit, "doc": k.doc} for k in COUNTERS],
        "errors": [{"name": e.name, "code": int(e), "text": e.text} for e in ErrorCode],
        "descriptor": {
            "header_words": HEADER_WORDS, "scale_words": SCALE_WORDS,
            "fields": [dataclasses.asdict(f) for f in FIELDS],
            "scale_fields": [dataclasses.asdict(f) for f in SCALE_FIELDS],
        },
    }


def registers_json(c: SpAttenConfig) -> str:
    """Content of `registers.json`."""
    return json.dumps(registers_dict(c), indent=2, ensure_ascii=False) + "\n"


def c_header(c: SpAttenConfig) -> str:
    """Content of `spatten_regs.h`: C99 and C++, nothing but <stdint.h>."""
    out = ["/* SpAtten register map and job descriptor. Generated; do not edit. */",
           "#ifndef SPATTEN_REGS_H", "#define SPATTEN_REGS_H", "", "#include <stdint.h>", "",
           "/* Compare with register CONFIG_HASH before anything else. */",
           f"#define SPATTEN_EXPECTED_CONFIG_HASH 0x{c.hash:08x}u", ""]
    out += ["/* Registers: byte offsets. */"]
    for r in registers(c):
        out += _register(r)
    out += ["", "/* Error codes of a completion. */", "enum spatten_error {"]
    out += [f"    SPATTEN_ERROR_{e.name} = {int(e)}{',' if e is not list(ErrorCode)[-1] else ''}" for e in ErrorCode]
    out += ["};", "", "static inline const char *spatten_error_text(unsigned code)", "{", "    switch (code) {"]
    out += [f'    case SPATTEN_ERROR_{e.name}: return "{_ascii(e.text)}";' for e in ErrorCode]
    out += ['    default: return "unknown error code";', "    }", "}", "",
            "/* Job descriptor: 64-bit little-endian words, header first, then SCALE_WORDS for each query head. */",
            f"#define SPATTEN_JOB_HEADER_WORDS {HEADER_WORDS}u", f"#define SPATTEN_JOB_SCALE_WORDS {SCALE_WORDS}u", ""]
    for prefix, fields in (("JOB", FIELDS), ("SCALE", SCALE_FIELDS)):
        for f in fields:
            out += _descriptor_field(prefix, f)
    out += ["", "/* spatten_put(words, SPATTEN_JOB_TOKENS, 384) sets one field; scales: words of the head's entry. */",
            "static inline void spatten_put(uint64_t *words, unsigned word, unsigned lsb, unsigned width,",
            "                               uint64_t value)", "{",
            "    uint64_t mask = width < 64u ? (((uint64_t)1 << width) - 1u) : ~(uint64_t)0;",
            "    words[word] = (words[word] & ~(mask << lsb)) | ((value & mask) << lsb);", "}", "",
            "#endif", ""]
    return "\n".join(out)


def _register(r: Register) -> list[str]:
    lines = [f"#define SPATTEN_{r.name} 0x{r.offset:03x}u /* {r.access}: {_ascii(r.doc)} */"]
    if r.access == "RO" and r.reset:
        lines.append(f"#define SPATTEN_{r.name}_VALUE 0x{r.reset:08x}u")
    for f in r.fields:
        name = f"SPATTEN_{r.name}_{f.name}"
        lines += [f"#define {name}_SHIFT {f.lsb}u /* {_ascii(f.doc)} */",
                  f"#define {name}_MASK 0x{((1 << f.width) - 1) << f.lsb:08x}u"]
    return lines


def _descriptor_field(prefix: str, f: DescriptorField) -> list[str]:
    """Word, lowest bit and width as one macro: three arguments of `spatten_put`."""
    comment = f" /* {_ascii(f.doc)} */" if f.doc else ""
    return [f"#define SPATTEN_{prefix}_{f.name.upper()} {f.word}u, {f.lsb}u, {f.width}u{comment}"]


def _ascii(text: str) -> str:
    """Comments and messages in plain ASCII: compilers differ about anything else."""
    table = {"×": "x", "…": "..", "·": "*", "≥": ">=", "≤": "<=", "−": "-", "–": "-", "≠": "!="}
    return "".join(table.get(ch, ch) for ch in text).encode("ascii", "replace").decode().replace("*/", "* /")
