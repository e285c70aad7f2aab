"""Whole blocks by model checking: top-k engines, read and write port, control slave, tickets, merges, walk, stages.

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
from .harnesses import MergeHarness
from .items import WalkerHarness
from .jobs import StagesHarness, TicketHarness
from .reads import IssueHarness, PoolHarness
from .topk import TopKHarness

TINY = LEAST.replace(axi_addr_bits=16, max_tokens=16, sram_tokens=8, max_heads=2, chunk_queries=0)
#: Few places, since the start-up, a cycle for each, is part of every trace: beats that are wide.
FEW_PLACES = TINY.replace(axi_data_bits=128, pool_beats=8)
TWO_CHANNELS = TINY.replace(channels=2, multipliers=16, topk_lanes=2)


def quick_select(key_bits: int, lanes: int, n: int, rows: int, limit: int, vectors: int = 1, stalls: bool = False):
    return TopKHarness(QuickSelect(key_bits, lanes, n, rows, waiting=1), vectors, limit, stalls)


def line_rate(key_bits: int, lanes: int, n: int, rows: int, limit: int, vectors: int = 1, stalls: bool = False):
    return TopKHarness(LineRate(key_bits, lanes, n, rows, digit_bits=2), vectors, limit, stalls)


#: name → harness, how it is checked, its depth (of a proof: that of the covers), whether it is nightly.
CASES = {
    "tickets_2": (lambda: TicketHarness(2), "prove", 10, False),
    "tickets_6": (lambda: TicketHarness(6), "prove", 12, False),
    "merge_1": (lambda: MergeHarness(1), "prove", 8, False),
    "merge_3": (lambda: MergeHarness(3), "prove", 8, False),
    "stages": (lambda: StagesHarness(TINY), "prove", 30, False),
    "control": (lambda: ControlHarness(TINY), "prove", 30, False),
    "issue": (lambda: IssueHarness(FEW_PLACES), "bounded", 14, False),
    "issue_deep": (lambda: IssueHarness(FEW_PLACES), "bounded", 20, True),
    "pool": (lambda: PoolHarness(FEW_PLACES), "bounded", 16, False),
    "pool_deep": (lambda: PoolHarness(FEW_PLACES), "bounded", 22, True),
    "walker": (lambda: WalkerHarness(TINY, 2), "bounded", 11, False),
    "walker_deep": (lambda: WalkerHarness(TINY, 3), "bounded", 16, True),
    "write_1": (lambda: WriteHarness(TINY, 2), "bounded", 12, False),
    "write_2": (lambda: WriteHarness(TWO_CHANNELS, 2), "bounded", 11, False),
    "write_deep": (lambda: WriteHarness(TINY, 2), "bounded", 16, True),
    "quickselect_1": (lambda: quick_select(2, 1, 3, 4, 56), "bounded", 63, False),
    "quickselect_2": (lambda: quick_select(2, 2, 4, 3, 56), "bounded", 63, False),
    "quickselect_stalls": (lambda: quick_select(2, 1, 3, 3, 90, 2, True), "bounded", 24, True),
    "quickselect_wide": (lambda: quick_select(3, 1, 5, 5, 72), "bounded", 80, True),
    "linerate_1": (lambda: line_rate(4, 1, 4, 4, 24), "bounded", 30, False),
    "linerate_2": (lambda: line_rate(4, 2, 5, 4, 24), "bounded", 30, False),
    "linerate_stalls": (lambda: line_rate(4, 1, 2, 3, 24, 1, True), "bounded", 20, False),
    "linerate_stalls_wide": (lambda: line_rate(3, 1, 3, 3, 24, 2, True), "bounded", 22, True),
    "linerate_wide": (lambda: line_rate(4, 2, 6, 4, 30, 2), "bounded", 40, True),
}
NIGHTLY = [pytest.mark.slow, pytest.mark.nightly, pytest.mark.timeout(7200)]
NAMES = [pytest.param(name, marks=NIGHTLY if case[3] else []) for name, case in CASES.items()]
#: Where the covers are later than what is proved to that depth.
COVERS = {"walker": 24, "issue": 24, "pool": 24, "write_1": 20, "write_2": 20, "quickselect_stalls": 40,
          "linerate_stalls": 40, "linerate_stalls_wide": 40}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("blocks")


@pytest.mark.parametrize("name", NAMES)
def test_block(folder, name):
    make, how, depth, _ = CASES[name]
    # So few bursts may be unanswered, and they are so short, that the limits are met within the depth.
    with patch("spatten_hw.write.writer.MAX_OUTSTANDING", 2), patch("spatten_hw.write.bursts.MAX_BURST_BEATS", 4):
        checks = Checks({name: make()}, folder)
    checks.reach(name, max(depth, COVERS.get(name, 0)))
    if how == "prove":
        checks.prove(name)
    else:
        checks.bounded(name, depth)
