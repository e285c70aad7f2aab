"""What Verilog a figure is of: found once, or told by whoever generated it anyway."""

from spatten_hw import verilog
from spatten_hw.presets import SMALL
from spatten_hw.sim.bench.digest import keep_digest, verilog_digest

HALF = SMALL.replace(reads=SMALL.reads // 2)


def test_what_is_known_is_not_generated_again(tmp_path, monkeypatch):
    monkeypatch.setenv("SPATTEN_BUILD", str(tmp_path))
    texts = ["module spatten; endmodule\n"]
    monkeypatch.setattr(verilog, "to_verilog", lambda *_, **__: texts.pop())
    found = verilog_digest(SMALL)
    assert verilog_digest(SMALL) == found and len(found) == 12 and not texts
    keep_digest(HALF, "other")
    assert verilog_digest(SMALL) == found
    assert verilog_digest(HALF) == "other"
