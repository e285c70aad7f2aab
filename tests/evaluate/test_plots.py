"""The figures of a grid."""

import pytest

from spatten_hw.sim.evaluate.point import Point
from spatten_hw.sim.evaluate.series import Series
from spatten_hw.sim.evaluate.summary import Summary

pytest.importorskip("matplotlib", reason="pip install 'spatten-hw[plots]'")
POINTS = tuple(Point("smollm2", (bits, 0)) for bits in (4, 6, 8, 12))


def test_lines_join_steps_of_a_setting_alone():
    from spatten_hw.sim.evaluate.plots import _trade_off, plots

    results = [{"perplexity": 10 + 1 / (i + 1), "byte_ratio": i / 5 + 0.2, "mac_ratio": 1.0, "refetch_rate": 0.0}
               for i in range(4)]
    grid = [Series("steps", POINTS[:2]), Series("kinds", POINTS[2:], curve=False),
            Series("float", (Point("smollm2", None),))]
    s = Summary("smollm2", grid, [*results, {"perplexity": 10.0}])
    drawn = [line for line in _trade_off(s, "bytes").axes[0].lines if line.get_marker() in "os"]
    assert [(line.get_linestyle(), len(line.get_xdata())) for line in drawn] == [("-", 2), ("None", 2)]
    assert [name for name, _ in plots(s)] == [f"smollm2-{cost}.{kind}" for cost in ("bytes", "computation")
                                              for kind in ("svg", "png")]
