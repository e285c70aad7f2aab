"""Whole blocks by model checking: top-k engines, write port, control slave, slots, walk, stages.

`prove`: for all times. `bounded`: in every run of that many cycles after reset. What is nightly goes deeper, or takes
more keys (`make proofs`).
"""

from unittest.mock import patch

import pytest

from spatten_hw.sim.testbench.model_checking import Checks
from spatten_hw.topk.linerate import LineRate
from spatten_hw.topk.quickselect import QuickSelect

from ..integration.builds import LEAST
from .axi_lite import ControlHarness
from .axi_write import WriteHarness
from .items import WalkerHarness
from .jobs import SlotHarness, StagesHarness
from .topk import TopKHarness

TINY = LEAST.replace(axi_addr_bits=16, max_tokens=16, sram_tokens=8, max_heads=2)
TWO_CHANNELS = TINY.replace(channels=2)


def quick_select(key_bits: int, lanes: int, n: int, limit: int, vectors: int = 1, stalls: bool = False):
    engine = QuickSelect(key_bits, lanes, n)
    return TopKHarness(engine, vectors, limit, stalls)


def line_rate(key_bits: int, lanes: int, n: int, limit: int, vectors: int = 1, stalls: bool = False):
    engine = LineRate(key_bits, lanes, n, digit_bits=2)
    return TopKHarness(engine, vectors, limit, stalls)


#: name → harness, how it is checked, its depth (of a proof: that of the covers), whether it is nightly.
CASES = {
    "slots_2": (lambda: SlotHarness(TINY), "prove", 10, False),
    "slots_4": (lambda: SlotHarness(TINY.replace(slots=4)), "prove", 10, False),
    "stages": (lambda: StagesHarness(TINY), "prove", 30, False),
    "control": (lambda: ControlHarness(TINY), "prove", 30, False),
    "walker": (lambda: WalkerHarness(TINY, 2), "bounded", 11, False),
    "walker_deep": (lambda: WalkerHarness(TINY, 3), "bounded", 16, True),
    "write_1": (lambda: WriteHarness(TINY, 2), "bounded", 12, False),
    "write_2": (lambda: WriteHarness(TWO_CHANNELS, 2), "bounded", 11, False),
    "write_deep": (lambda: WriteHarness(TINY, 2), "bounded", 16, True),
    "quickselect_1": (lambda: quick_select(2, 1, 4, 56), "bounded", 63, False),
    "quickselect_2": (lambda: quick_select(2, 2, 5, 56), "bounded", 63, False),
    "quickselect_stalls": (lambda: quick_select(2, 1, 3, 90, 2, True), "bounded", 24, True),
    "quickselect_wide": (lambda: quick_select(3, 1, 5, 72), "bounded", 80, True),
    "linerate_1": (lambda: line_rate(4, 1, 4, 24), "bounded", 30, False),
    "linerate_2": (lambda: line_rate(4, 2, 5, 24), "bounded", 30, False),
    "linerate_stalls": (lambda: line_rate(1, 1, 2, 24, 1, True), "bounded", 20, False),
    "linerate_stalls_wide": (lambda: line_rate(3, 1, 3, 24, 2, True), "bounded", 22, True),
    "linerate_wide": (lambda: line_rate(4, 2, 6, 30, 2), "bounded", 40, True),
}
NIGHTLY = [pytest.mark.slow, pytest.mark.nightly, pytest.mark.timeout(7200)]
NAMES = [pytest.param(name, marks=NIGHTLY if case[3] else []) for name, case in CASES.items()]
#: Where the covers are later than what is proved to that depth.
COVERS = {"walker": 24, "write_1": 20, "write_2": 20, "quickselect_stalls": 40, "linerate_stalls": 40,
          "linerate_stalls_wide": 40}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("blocks")


@pytest.mark.parametrize("name", NAMES)
def test_block(folder, name):
    make, how, depth, _ = CASES[name]
    # So few bursts may be unanswered that the limit is met within the depth.
    with patch("spatten_hw.write.writer.MAX_OUTSTANDING", 2):
        checks = Checks({name: make()}, folder)
    checks.reach(name, max(depth, COVERS.get(name, 0)))
    if how == "prove":
        checks.prove(name)
    else:
        checks.bounded(name, depth)
