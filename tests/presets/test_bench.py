"""The benches as users run them on a preset: each ends with "equal to the golden model", exit 0.

With $SPATTEN_OPTIMIZE, as tests/conftest.py sets it, they find the simulation that is there.
"""

import json

import pytest

from spatten_hw.cli import main

#: Cases of the whole accelerator at sizes that take seconds; vectors enough to fill every slot twice.
BENCHES = {"attention": ["--quick"], "memory": ["--quick"], "units": ["--vectors", "12"],
           "topk": ["--vectors", "6", "--lanes", "{topk_lanes}"]}


@pytest.mark.parametrize("bench", BENCHES)
def test_equal_to_the_golden_model(config, bench, tmp_path, capsys):
    out = tmp_path / "o.json"
    assert main(["bench", bench, "--preset", config.name, *(text.format(**config.fields) for text in BENCHES[bench]),
                 "--json", str(out)]) == 0
    text = capsys.readouterr().out
    assert "equal to the golden model bit for bit" in text and "DIFFER" not in text
    report = json.loads(out.read_text())
    assert report["bit_exact"] and report["config_hash"] == f"{config.hash:08x}"
    assert all(case["bit_exact"] for case in report["cases"])
    assert len(report["cases"]) >= (7 if bench == "units" else 8)
