"""registers.rdl, registers.md and registers.html say what the register table says."""

import html.parser
import re

import pytest

from spatten_hw.interface import systemrdl as systemrdl_module
from spatten_hw.interface.register_pages import bit_ranges, registers_html, registers_markdown
from spatten_hw.interface.registers import Field, Register, registers
from spatten_hw.interface.systemrdl import constant, fields_of, system_rdl
from spatten_hw.presets import PRESETS, SMALL

VOID = {"meta", "br"}


@pytest.mark.parametrize("name", PRESETS)
def test_systemrdl_compiles_to_the_table(name, tmp_path):
    systemrdl = pytest.importorskip("systemrdl", reason="pip install 'spatten-hw[integration]'")
    c = PRESETS[name]
    (tmp_path / "registers.rdl").write_text(system_rdl(c))
    compiler = systemrdl.RDLCompiler()
    compiler.compile_file(str(tmp_path / "registers.rdl"))
    top = compiler.elaborate().top
    found = {r.inst_name: r for r in top.registers()}
    assert list(found) == [r.name for r in registers(c)]
    for r in registers(c):
        node = found[r.name]
        assert node.absolute_address == r.offset and node.get_property("regwidth") == 32
        assert [(f.inst_name, f.low, f.width) for f in node.fields()] == [
            (f.name, f.lsb, f.width) for f in sorted(fields_of(r), key=lambda f: f.lsb)]
        assert sum(f.get_property("reset") << f.low for f in node.fields()) == r.reset
        assert node.get_property("desc") == r.doc
        for f in node.fields():
            assert (f.is_sw_readable, f.is_sw_writable) == (r.access != "WO", r.access != "RO")
            assert (f.get_property("onwrite") is not None) == (r.access == "W1C")
            assert f.is_hw_writable == (not constant(r) and r.access in ("RO", "W1C"))


def test_every_field_has_its_part_of_the_reset_value(monkeypatch):
    """The table has no register whose reset value lies in several fields: one made up."""
    made = Register("MADE", 0, "RW", 0xA53, "made up", (Field("LOW", 0, 4, "low"), Field("HIGH", 8, 4, "high")))
    monkeypatch.setattr(systemrdl_module, "registers", lambda _: (made,))
    text = system_rdl(SMALL)
    assert "LOW[3:0] = 4'h3;" in text and "HIGH[11:8] = 4'ha;" in text


def test_bit_ranges_cover_every_register():
    for r in registers(SMALL):
        bits = [b for high, low, _ in bit_ranges(r) for b in range(high, low - 1, -1)]
        assert bits == list(range(31, -1, -1))
        assert {name for _, _, name in bit_ranges(r)} - {""} == {f.name for f in r.fields} or not r.fields


def test_markdown_has_every_register_and_field():
    text = registers_markdown(SMALL)
    rows = dict(re.findall(r"^\| `(0x\w+)` \| `(\w+)` \|", text, re.MULTILINE))
    assert rows == {f"0x{r.offset:03x}": r.name for r in registers(SMALL)}
    for r in registers(SMALL):
        for f in r.fields:
            bits = str(f.lsb) if f.width == 1 else f"{f.lsb + f.width - 1}:{f.lsb}"
            assert f"| {bits} | `{f.name}` | {f.doc} |" in text


class _Page(html.parser.HTMLParser):
    """Checks nesting and collects what a browser would fetch."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.fetched, self.ids, self.links = [], [], [], set(), set()

    def handle_starttag(self, tag, attributes):
        for key, value in attributes:
            if key == "src" or (key == "href" and not value.startswith("#")):
                self.fetched.append(value)
            elif key == "href":
                self.links.add(value[1:])
            elif key == "id":
                self.ids.add(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.text.append(text)


def test_html_is_well_formed_complete_and_alone():
    page = _Page()
    page.feed(registers_html(SMALL))
    assert page.open == [] and page.fetched == [] and page.links == page.ids
    text = " ".join(page.text)
    for r in registers(SMALL):
        assert f"0x{r.offset:03x}" in text and r.name in text and r.doc in text
        assert all(f.name in text and f.doc in text for f in r.fields)
    assert "url(" not in registers_html(SMALL)


def test_pages_escape_what_a_label_holds():
    label = SMALL.replace(name='<b>"|\\')
    assert "<b>" not in registers_html(label) and '\\"' in system_rdl(label)
    assert "\\|" in registers_markdown(label)
