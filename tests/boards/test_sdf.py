"""Critical paths from delays as SDF: what the slowest way is, and that it adds up."""

import pytest

from spatten_hw.boards.flow.sdf import late_paths

#: a → (LUT) sum → b, and a memory → b directly. Carry into `sum` comes from `low`, which a clears up later.
SDF = r"""
(INTERCONNECT dut.a/Q dut.low_CCU2C_S0/A0 (900:900:1000) (900:900:1000))
(INTERCONNECT dut.low_CCU2C_S0/FCO dut.sum_LUT4_Z/FCI (0:0:0) (0:0:0))
(INTERCONNECT dut.a/Q dut.sum_LUT4_Z/A (2000:2000:2000) (2000:2000:2000))
(INTERCONNECT dut.sum_LUT4_Z/F dut.b[1]_TRELLIS_FF_Q/DI (300:300:300) (300:300:300))
(INTERCONNECT dut.sum_LUT4_Z/F dut.b[0]_TRELLIS_FF_Q/DI (100:100:100) (100:100:100))
(INTERCONNECT dut.rows.storage.0.3/DOA0 dut.c/M (50:50:50) (50:50:50))
(INTERCONNECT dut.\$one/F dut.c/CE (9000:9000:9000) (9000:9000:9000))
(CELL (CELLTYPE "TRELLIS_FF")
(INSTANCE dut.a)
(IOPATH CLK Q (430:477:500) (430:477:500))
(CELL (CELLTYPE "TRELLIS_COMB")
(INSTANCE dut.low_CCU2C_S0)
(IOPATH A0 FCO (300:300:450) (300:300:450))
(INSTANCE dut.sum_LUT4_Z)
(IOPATH A F (200:218:240) (200:218:240))
(IOPATH FCI F (400:400:440) (400:400:440))
(INSTANCE dut.b[0]_TRELLIS_FF_Q)
(IOPATH CLK Q (430:477:500) (430:477:500))
(SETUPHOLD (posedge DI) (posedge CLK) (0:0:0) (0:0:0))
(INSTANCE dut.b[1]_TRELLIS_FF_Q)
(SETUPHOLD (posedge DI) (posedge CLK) (-3:0:10) (0:0:0))
(SETUPHOLD (negedge DI) (posedge CLK) (0:0:20) (0:0:0))
(INSTANCE dut.rows.storage.0.3)
(IOPATH CLKA DOA0 (5535:5572:5600) (5535:5572:5600))
(INSTANCE dut.c)
(SETUPHOLD (posedge M) (posedge CLK) (0:0:300) (0:0:0))
(SETUPHOLD (posedge CE) (posedge CLK) (0:0:300) (0:0:0))
"""


def test_slowest_between_signals():
    memory, logic = late_paths(SDF.splitlines())
    assert (memory.start, memory.end, memory.levels) == ("rows.storage", "c", 0)
    assert (memory.logic, memory.routing) == (pytest.approx(5.9), pytest.approx(0.05))
    # Of two bits the slower one; 2.0 + 0.24 beats 1.0 + 0.45 + 0.44. Of its two setup times the longer.
    assert (logic.start, logic.end, logic.levels, logic.unit) == ("a", "b[1]", 1, "a → b[1]")
    assert (logic.logic, logic.routing) == (pytest.approx(0.5 + 0.24 + 0.02), pytest.approx(2.3))
    assert [(s.signal, s.routing) for s in logic.steps] == [("a", 2.0), ("sum", 0.3)]


def test_carry_may_be_slower():
    slower = SDF.replace("(900:900:1000)", "(900:900:6000)")
    path = late_paths(slower.splitlines())[0]
    assert [s.signal for s in path.steps] == ["a", "low", "sum"]
    assert path.delay == pytest.approx(0.5 + 6 + 0.45 + 0.44 + 0.3 + 0.02)


def test_as_many_as_asked_for():
    assert len(late_paths(SDF.splitlines(), 1)) == 1
