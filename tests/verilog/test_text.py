"""Repairs of Yosys' text."""

import re
from pathlib import Path

import amaranth
import pytest

from spatten_hw.verilog_text import relative_sources, source_roots


@pytest.mark.parametrize("checkout", ["spatten", "boards", "sim/spatten_hw"])
def test_sources_do_not_tell_where_the_project_is(checkout, tmp_path):
    """Folders of the project's own names above it make no difference, nor does an environment inside it."""
    root = f"{tmp_path}/{checkout}/"
    library = f"{tmp_path}/python/"
    packages = f"{root}.venv/lib/python3.11/site-packages/"
    text = (f'  (* src = "{root}boards/shell/uart.py:7|{packages}amaranth/lib/fifo.py:3|{library}abc.py:1" *)\n'
            f'  reg a;\n  (* src = "{library}contextlib.py:144" *)\n'
            f'  reg b;\n  (* src = "{tmp_path}/chip/top.py:5" *)\n')
    assert relative_sources(text, [packages, root], library) == (
        '  (* src = "boards/shell/uart.py:7|amaranth/lib/fifo.py:3" *)\n'
        '  reg a;\n  reg b;\n  (* src = "top.py:5" *)\n')


def test_roots_are_those_of_the_running_code():
    roots = source_roots()
    assert any(amaranth.__file__.startswith(root) for root in roots)
    assert any((Path(root) / "spatten_hw" / "verilog_text.py").exists() for root in roots)


def test_no_source_in_the_verilog_is_absolute_or_pythons(small):
    sources = {part for s in re.findall(r'src = "([^"]*)"', (small / "spatten.v").read_text()) for part in s.split("|")}
    assert len(sources) > 1000
    assert {s.split("/")[0] for s in sources} == {"spatten_hw", "amaranth"}
