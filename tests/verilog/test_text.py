"""Repairs of Yosys' text."""

import re
import sysconfig
from pathlib import Path

import amaranth
import pytest

from spatten_hw.verilog_text import relative_sources, source_roots

LIBRARY = "/usr/lib/python3.11/"


@pytest.mark.parametrize("root", ["/home/me/spatten/", "/tmp/boards/", "/srv/sim/spatten_hw/"])
def test_sources_do_not_tell_where_the_project_is(root):
    """Folders of the project's own names above it make no difference, nor does an environment inside it."""
    packages = f"{root}.venv/lib/python3.11/site-packages/"
    text = (f'  (* src = "{root}boards/shell/uart.py:7|{packages}amaranth/lib/fifo.py:3|{LIBRARY}abc.py:1" *)\n'
            f'  reg a;\n  (* src = "{LIBRARY}contextlib.py:144" *)\n  reg b;\n  (* src = "/my/chip/top.py:5" *)\n')
    assert relative_sources(text, [packages, root], LIBRARY) == (
        '  (* src = "boards/shell/uart.py:7|amaranth/lib/fifo.py:3" *)\n'
        '  reg a;\n  reg b;\n  (* src = "top.py:5" *)\n')


def test_roots_are_those_of_the_running_code():
    inner, *_, outer = source_roots()
    assert str(Path(amaranth.__file__)).startswith(inner) and (Path(outer) / "spatten_hw" / "verilog_text.py").exists()


def test_no_source_in_the_verilog_is_absolute_or_pythons(small):
    sources = {part for s in re.findall(r'src = "([^"]*)"', (small / "spatten.v").read_text()) for part in s.split("|")}
    assert len(sources) > 1000
    assert {s.split("/")[0] for s in sources} == {"spatten_hw", "amaranth"}, sysconfig.get_path("stdlib")
