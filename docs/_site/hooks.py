"""Pages and drawings that the site makes from the sources: commands from argparse, fields from `SpAttenConfig`,
registers from their table, SVG from `drawings.py`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))

import drawings

from spatten_hw.cli import _parser
from spatten_hw.config import SpAttenConfig
from spatten_hw.engines import TOPK
from spatten_hw.interface.descriptor import FIELDS, HEADER_WORDS, SCALE_FIELDS, SCALE_WORDS
from spatten_hw.interface.register_pages import registers_markdown
from spatten_hw.presets import PRESETS

#: What the scale table is for.
SCALES = """\
With shifts that round half to even and saturate: a score s gives d = (max − s) >> `score_pre` (18 bits), the
exponent y = d · `score_mant` >> `score_post` (19 bits, 14 of them fraction), and 2^−y is its share; a sum of
probabilities times V gives the output sum · `out_mant` >> `out_shift` (16 bits). How real scales become these:
`spatten_hw/host/scales.py`."""


def on_files(files: Files, config) -> Files:
    """Adds what is generated."""
    made = {"reference/commands.md": commands(), "reference/configuration.md": configuration(),
            "reference/registers.md": registers(), "reference/descriptor.md": descriptor(), **drawings.all_drawings()}
    for name, content in made.items():
        files.append(File.generated(config, name, content=content))
    return files


def commands() -> str:
    """Every command's own --help."""
    parts = ["# Commands\n", "What `--help` says. A mistake is one line and exit code 2; 130: interrupted.\n"]
    for path, parser in _commands("spatten-hw", _parser()):
        text = parser.format_help().rstrip()
        parts.append(f"## {path}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def _commands(path: str, parser: argparse.ArgumentParser):
    yield path, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from _commands(f"{path} {name}", inner)


def configuration() -> str:
    """The fields of a configuration, and what the presets make of them."""
    lines = ["# Configuration\n", "Fields of `SpAttenConfig`, with `--set FIELD=VALUE`, in a TOML file or in Python. "
             "What breaks a rule is refused with the rule and a remedy.\n",
             f"| field | what | default | {' | '.join(PRESETS)} |", f"|---|---|---|{'---|' * len(PRESETS)}"]
    for field in dataclasses.fields(SpAttenConfig):
        if field.name != "name":
            values = " | ".join(str(c.fields[field.name]) for c in PRESETS.values())
            default = SpAttenConfig().fields[field.name]
            lines.append(f"| `{field.name}` | {field.metadata.get('doc', '')} | {default} | {values} |")
    lines += ["\n## Top-k engines of local value pruning\n",
              "`topk` is a name, with parameters behind it: `--set topk=linerate,digit_bits=3,wide=2`.\n",
              "| engine | what | parameter | default | range | what |", "|---|---|---|---|---|---|"]
    for name, kind in TOPK.items():
        for field in dataclasses.fields(kind):
            low, high = field.metadata["range"]
            lines.append(f"| `{name}` | {kind.title} | `{field.name}` | {field.default} | {low} … {high} | "
                         f"{field.metadata['doc']} |")
    return "\n".join(lines) + "\n"


def descriptor() -> str:
    """The fields of a layer job's descriptor and of its scale table."""
    lines = ["# Descriptor of a layer job\n",
             "64-bit words, little endian, in memory at an address that is a multiple of 8: "
             f"{HEADER_WORDS} words of header, then {SCALE_WORDS} for every query head. Bits not named are 0. "
             "`spatten_hw.host.job.encode` makes one, the C header has the same constants, "
             "[attention.c](../bare_metal/attention.c) is an example in C.\n"]
    for title, fields in (("Header", FIELDS), ("Scale of a query head", SCALE_FIELDS)):
        lines += [f"## {title}\n", "| word | bits | field | what |", "|---|---|---|---|"]
        lines += [f"| {f.word} | {f.lsb} … {f.lsb + f.width - 1} | `{f.name}` | {f.doc} |" for f in fields]
        lines.append("")
    lines.append(SCALES)
    return "\n".join(lines) + "\n"


def registers() -> str:
    """The register map of `small`, as `generate` writes it; other builds differ in the read-only build fields alone."""
    return registers_markdown(PRESETS["small"])
