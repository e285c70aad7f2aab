"""The Tcl for Vivado in a Tcl interpreter that records Vivado's commands instead of running them."""

import re
import shutil
import subprocess

import pytest

from spatten_hw.package import package_files
from spatten_hw.package.ports import interface_ports, masters
from spatten_hw.package.vivado import MEMORY_BASE, MEMORY_BYTES
from spatten_hw.presets import PRESETS

TCLSH = shutil.which("tclsh") or shutil.which("tclsh8.6")
pytestmark = pytest.mark.skipif(TCLSH is None, reason="no tclsh; on Debian: apt-get install tcl")

#: Every command Tcl does not know is recorded. Queries with -quiet find nothing, so that what they guard is run.
RECORDER = """
proc unknown {args} {
    puts $args
    foreach word $args { if {$word eq "-quiet"} { return "" } }
    return "<[join $args]>"
}
source [lindex $argv 0]
"""


def calls(folder, script):
    """The recorded commands, as lists of words."""
    (folder / "recorder.tcl").write_text(RECORDER)
    result = subprocess.run([TCLSH, "recorder.tcl", script], cwd=folder, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return [words(line) for line in result.stdout.splitlines()]


def words(line):
    """A Tcl list without nested braces."""
    return [a or b for a, b in re.findall(r"\{([^{}]*)\}|(\S+)", line)]


@pytest.fixture(scope="module", params=["small", "eighth", "full", "tiny"])
def written(request, packaged, tmp_path_factory):
    """(configuration, folder of the Vivado files)."""
    config = packaged[0] if request.param == "tiny" else PRESETS[request.param]
    folder = tmp_path_factory.mktemp("vivado")
    for name, text in package_files(["vivado"], config, "spatten").items():
        (folder / name.removeprefix("vivado/")).write_text(text)
    return config, folder


def shell_ports(folder):
    text = (folder / "spatten_axi.v").read_text()
    return set(re.findall(r"(?:in|out)put wire (?:\[\d+:0\] )?(\w+)", text))


def test_ip_has_every_port_in_an_interface(written):
    config, folder = written
    made = calls(folder, "package_ip.tcl")
    inferred = {c[1]: c[2] for c in made if c[0] == "ipx::infer_bus_interface"}
    ports = [p for names in inferred for p in names.split()]
    assert sorted(ports) == sorted(shell_ports(folder))
    kinds = sorted(kind.split(":")[2] for kind in inferred.values())
    assert kinds == sorted(["aximm_rtl"] * (1 + config.channels) + ["clock_rtl", "reset_rtl", "interrupt_rtl"])


def test_ip_interfaces_have_clock_reset_and_memory(written):
    config, folder = written
    made = calls(folder, "package_ip.tcl")
    associated = [c[1:] for c in made if c[0] == "ipx::associate_bus_interfaces"]
    assert [a[1] for a in associated if a[0] == "-busif"] == list(interface_ports(config))
    assert all(a[2:4] == ["-clock", "aclk"] for a in associated if a[0] == "-busif")
    assert ["-clock", "aclk", "-reset", "aresetn"] in [a[:4] for a in associated]
    values = [c[1:3] for c in made if c[0] == "set_property"]
    assert ["value", "ACTIVE_LOW"] in values and ["value", "LEVEL_HIGH"] in values and ["range", "4096"] in values
    assert [c[1] for c in made if c[0] == "ipx::add_address_space"] == masters(config)
    assert made[-1][0] == "ipx::save_core"


def test_block_design_connects_every_interface_once(written):
    config, folder = written
    made = calls(folder, "zcu104.tcl")
    pins = [c[i].strip("<>").split()[-1] for c in made if c[0] == "connect_bd_intf_net" for i in (1, 2)]
    assert len(pins) == len(set(pins))
    assert {p.split("/")[1] for p in pins if p.startswith("spatten/")} == set(interface_ports(config))
    nets = [p.strip("<>").split()[-1] for c in made if c[0] == "connect_bd_net" for p in c[1:]]
    assert len(nets) == len(set(nets))
    assert {"spatten/aclk", "spatten/aresetn", "spatten/irq"} <= set(nets)
    cells = {c[-1] for c in made if c[0] == "create_bd_cell"}
    assert {p.split("/")[0] for p in pins + nets} == cells
    # Every SmartConnect has as many slots as are used.
    sized = [line for line in made if line[0] == "set_property" and "CONFIG.NUM_SI" in " ".join(line)]
    assert sized
    for line in sized:
        cell = line[-1].strip("<>").split()[-1]
        slots = int(re.search(r"CONFIG.NUM_SI (\d+)", " ".join(line))[1])
        assert slots == sum(p.startswith(f"{cell}/S") for p in pins)


def test_channels_do_not_share_memory(written):
    config, folder = written
    text = (folder / "zcu104.tcl").read_text()
    bases = [int(base, 16) for base in re.findall(r"CONFIG\.M_AXI_\d+_BASE (0x\w+)", text)]
    assert len(bases) == config.channels and bases == sorted(bases) and bases[0] == MEMORY_BASE
    ends = [*bases[1:], MEMORY_BASE + MEMORY_BYTES]
    assert all(end - base == MEMORY_BYTES // config.channels for base, end in zip(bases, ends, strict=True))
    # set_property inside `list` names parameters that the shell has.
    shell = (folder / "spatten_axi.v").read_text()
    assert all(f" M_AXI_{i}_BASE = " in shell for i in range(config.channels))
