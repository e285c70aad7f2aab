"""Formal proofs of the small cells for several widths."""

import pytest

from spatten_hw.sim.testbench.formal import Proofs
from spatten_hw.stream.fifo import StreamFifo
from spatten_hw.stream.skid import HalfBuffer, SkidBuffer

from .harnesses import (
    ArbiterHarness,
    ForkHarness,
    MergeHarness,
    PackerHarness,
    PrefixSumHarness,
    QueueHarness,
    SpareHarness,
    ZeroEliminatorHarness,
)
from .primitives import RoundingHarness, SelectionHarness, StrideHarness, TreeHarness

#: name → harness, how it is checked, cycles. Complete: `prove` (induction). Amaranth's FIFO keeps its state
#: to itself, so no induction there: every behaviour long enough to fill, empty and wrap it.
CASES = {
    "skid_1": (QueueHarness(SkidBuffer(1), 1, 2), "prove", 3),
    "skid_8": (QueueHarness(SkidBuffer(8), 8, 2), "prove", 3),
    "half_1": (QueueHarness(HalfBuffer(1), 1, 1), "prove", 3),
    "half_8": (QueueHarness(HalfBuffer(8), 8, 1), "prove", 3),
    "spare_1": (SpareHarness(1), "prove", 3),
    "spare_8": (SpareHarness(8), "prove", 3),
    "fork_1": (ForkHarness(2, 1), "prove", 2),
    "fork_2": (ForkHarness(4, 2), "prove", 3),
    "fork_4": (ForkHarness(3, 4), "prove", 5),
    "merge_1": (MergeHarness(1), "prove", 3),
    "merge_2": (MergeHarness(2), "prove", 4),
    "merge_3": (MergeHarness(3), "prove", 4),
    "arbiter_1": (ArbiterHarness(1), "prove", 2),
    "arbiter_2": (ArbiterHarness(2), "prove", 3),
    "arbiter_3": (ArbiterHarness(3), "prove", 4),
    "arbiter_8": (ArbiterHarness(8), "prove", 9),
    "prefix_1": (PrefixSumHarness(1), "prove", 1),
    "prefix_3": (PrefixSumHarness(3), "prove", 1),
    "prefix_8": (PrefixSumHarness(8), "prove", 1),
    "prefix_16": (PrefixSumHarness(16), "prove", 1),
    "zero_1": (ZeroEliminatorHarness(2, 1, False), "prove", 4),
    "zero_3": (ZeroEliminatorHarness(2, 3, False), "prove", 4),
    "zero_4": (ZeroEliminatorHarness(3, 4, False), "prove", 4),
    "zero_8": (ZeroEliminatorHarness(2, 8, False), "prove", 4),
    "zero_7": (ZeroEliminatorHarness(1, 7, False), "prove", 3),
    "zero_stalls_4": (ZeroEliminatorHarness(2, 4, True), "bounded", 6),
    "selection_1": (SelectionHarness(1), "prove", 1),
    "selection_5": (SelectionHarness(5), "prove", 1),
    "selection_8": (SelectionHarness(8), "prove", 1),
    "tree_1": (TreeHarness(1, 3), "prove", 1),
    "tree_3": (TreeHarness(3, 4), "prove", 3),
    "tree_8": (TreeHarness(8, 3), "prove", 4),
    "rounding_6": (RoundingHarness(6, 3), "prove", 1),
    "rounding_9": (RoundingHarness(9, 4), "prove", 1),
    "stride": (StrideHarness(2, 17, 18), "bounded", 4),
    "packer_1": (PackerHarness(1), "bounded", 7),
    "packer_3": (PackerHarness(3), "bounded", 5),
    "fifo_1": (QueueHarness(StreamFifo(2, 1), 2, 1), "bounded", 8),
    "fifo_2": (QueueHarness(StreamFifo(2, 2), 2, 2), "bounded", 10),
    "fifo_3": (QueueHarness(StreamFifo(2, 3), 2, 3), "bounded", 12),
    "fifo_4": (QueueHarness(StreamFifo(1, 4), 1, 4), "bounded", 10),
}
WITH_COVER = ("skid", "half", "spare", "fork", "merge", "arbiter", "zero", "packer", "fifo")


@pytest.fixture(scope="module")
def proofs(tmp_path_factory):
    return Proofs({name: case[0] for name, case in CASES.items()}, tmp_path_factory.mktemp("formal"))


@pytest.mark.parametrize("name", CASES)
def test_cell(proofs, name):
    _, how, depth = CASES[name]
    getattr(proofs, how)(name, depth)
    if name.startswith(WITH_COVER) and name != "fork_1":
        proofs.reach(name, max(depth, 7))
