"""Every text that users write is read with a byte-order mark and refused in one line if it is not UTF-8."""

import ast
import codecs
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from spatten_hw import user_text
from spatten_hw.commands.config import config_from_args
from spatten_hw.errors import UserError
from spatten_hw.host.workload import read_workload
from spatten_hw.host.workload.fixed_schedule import FixedRatios
from spatten_hw.presets import SMALL
from spatten_hw.sim.bench.requests import COLUMNS, RequestFile
from spatten_hw.sim.commands.generate_text import _schedule
from spatten_hw.sim.evaluate.points_file import read_points
from spatten_hw.sim.evaluate.text import lines_of
from spatten_hw.user_text import decode, parse_toml, read_text
from tests.cli.test_output import DEVELOPERS
from tests.host.malformed import good

ROOT = Path(__file__).resolve().parents[2]
MARK = codecs.BOM_UTF8


def config(path):
    c = config_from_args(SimpleNamespace(preset=None, config=path, settings=[], default_preset="small"))
    return c.name, c.reads


def job(path):
    with tempfile.NamedTemporaryFile() as workload:
        np.savez(workload, **good())
        workload.flush()
        return read_workload(workload.name, path).options.threshold


def schedule(path):
    return _schedule(SimpleNamespace(schedule=path, keep_tokens=None, keep_heads=None, keep_values=None))


def requests(path):
    return len(RequestFile.read(path, SMALL).requests)


REQUEST = dict.fromkeys(COLUMNS, 1) | {"embedding_length_D": 32, "quant_key_bit": 8, "quant_query_bit": 8,
                                       "quant_value_bit": 8, "if_requant": "False", "auto_requant_thres": 0,
                                       "auto_requant_incre": 0}

#: Reader → a text that it takes, of two lines or more, and what comes of it.
READERS = {
    "configuration": (config, 'name = "größer"\nreads = 8\n', ("größer", 8)),
    "job": (job, "threshold = 0.25\nk_bits = [8, 4]\n", 0.25),
    "points": (lambda path: [p.bits for p in read_points(path)], '[[point]]\nmodel = "encoder"\nbits = 8\n', [(8, 0)]),
    "schedule": (schedule, "[schedule]\nkind = \"ratios\"\nkeep_tokens = 0.5\n", FixedRatios(keep_tokens=0.5)),
    "text": (lambda path: lines_of(path, None), "Grün ist alle Theorie.\nEin Satz.\nNoch einer.\n",
             ["Grün ist alle Theorie.", "Ein Satz.", "Noch einer."]),
    "requests": (requests, f"{','.join(COLUMNS)}\n{','.join(map(str, REQUEST.values()))}\n", 1),
}


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", MARK])
@pytest.mark.parametrize("name", READERS)
def test_marks_and_line_ends(name, mark, ending, tmp_path):
    read, text, result = READERS[name]
    path = tmp_path / "given.txt"
    path.write_bytes(mark + text.replace("\n", ending).encode())
    assert read(path) == result


@pytest.mark.parametrize("name", READERS)
def test_what_is_no_text(name, tmp_path):
    read, text, _ = READERS[name]
    path = tmp_path / "given.txt"
    for content, word in ((codecs.BOM_UTF16_LE + text.encode("utf-16-le"), "is UTF-16 text; save it as UTF-8"),
                          (codecs.BOM_UTF32_LE + text.encode("utf-32-le"), "is UTF-32 text; save it as UTF-8"),
                          (b"caf\xe9 = 1", "is not UTF-8 text (")):
        path.write_bytes(content)
        with pytest.raises(UserError) as caught:
            read(path)
        assert word in str(caught.value) and "given.txt" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file(name, tmp_path):
    folder = tmp_path / "folder.txt"
    folder.mkdir()
    for path in (folder, tmp_path / "none.txt", folder / "below" / "none.txt"):
        with pytest.raises(UserError) as caught:
            READERS[name][0](path)
        assert path.name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [
    '\ufeff{"threshold": 0.25}',
    b'\xef\xbb\xbf{"threshold": 0.25}'], ids=["text", "bytes"])
def test_a_job_in_json_with_a_mark(text, tmp_path):
    np.savez(tmp_path / "w.npz", **good(), job=np.array(text))
    assert read_workload(tmp_path / "w.npz").options.threshold == 0.25


@pytest.mark.parametrize("name", READERS)
def test_what_never_ends(name, monkeypatch):
    monkeypatch.setattr(user_text, "MOST_BYTES", 1 << 20)
    with pytest.raises(UserError, match=r"/dev/zero.*has more than 1 MiB; is it a text\?"):
        READERS[name][0](Path("/dev/zero"))


def test_nested_too_deeply():
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_toml(b"x = " + b"[" * 100_000)


def test_only_one_mark_goes():
    assert decode(MARK + MARK + b"x") == "\ufeffx"
    with pytest.raises(UserError, match="is not UTF-8"):
        read_text(ROOT / "docs/report.png")
    assert decode(b"a\rb\r\nc\n") == "a\nb\nc\n"


#: Calls of `read_text` and `tomllib` on what users do not write: own sources, and files of tools and of ourselves.
OWN = {
    "spatten_hw/user_text.py", "sim/harness/block_build.py", "sim/harness/build.py", "sim/harness/kept.py",
    "sim/harness/verilator.py", "sim/report/html.py", "sim/models/minilm.py", "sim/models/gpt/corpus.py",
    "sim/bench/area_history.py", "sim/bench/digest.py", "boards/simulation/build.py", "boards/flow/netlist.py",
    "boards/flow/nextpnr.py", "boards/flow/synthesis.py", "boards/flow/tools.py",
    "boards/flow/standard_cells.py",  # Liberty: cells are found by name whatever the rest holds
    "sim/silicon/lef.py",  # the same of a foundry's cells, in any encoding
    *(f"sim/silicon/{name}.py" for name in ("cacti", "events", "leakage", "mapped", "once", "sta", "watched")),
    "sim/estimate/table.py", "sim/paper/__main__.py", "sim/paper/html.py", "sim/paper/numbers.py",
    "sim/rivals/benchmarks.py", "sim/sweep/page.py",
}


def test_nothing_else_reads_text():
    readers = set()
    for top in ("spatten_hw", "sim", "boards"):
        for path in (ROOT / top).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                called = node.func if isinstance(node, ast.Call) else None
                name = called.attr if isinstance(called, ast.Attribute) else ""
                tomls = isinstance(node, ast.Import) and any(a.name == "tomllib" for a in node.names)
                if name == "read_text" or tomls:
                    readers.add(str(path.relative_to(ROOT)))
    assert {path for path in readers if not path.startswith(DEVELOPERS)} == OWN
