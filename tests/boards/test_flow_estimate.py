"""Estimates against what synthesis found, and what they refuse."""

import re

import pytest

from spatten_hw.boards.flow.devices import LFE5U_85F, XC7K325T
from spatten_hw.boards.flow.estimate import check_fit, estimate
from spatten_hw.errors import UserError
from spatten_hw.presets import EIGHTH, FULL, PRESETS, SMALL

#: `spatten-hw bench area`, whole of a preset (docs/fpga-findings.md): what the laws are fitted to.
MEASURED = {("small", 0, "ecp5"): {"luts": 35348, "flip_flops": 33257, "dsps": 82, "brams": 106},
            ("small", 0, "xc7"): {"luts": 21992, "flip_flops": 27110, "dsps": 82, "brams": 47},
            ("eighth", 1, "ecp5"): {"luts": 82347, "flip_flops": 65312, "dsps": 188, "brams": 552},
            ("full", 0, "ecp5"): {"luts": 295023, "flip_flops": 262218, "dsps": 1179, "brams": 2193}}


@pytest.mark.parametrize(("preset", "rules", "family"), MEASURED)
def test_presets_as_measured(preset, rules, family):
    found = estimate(PRESETS[preset].replace(decision_rules=rules), family)
    for name, value in MEASURED[preset, rules, family].items():
        assert getattr(found, name) == pytest.approx(value, rel=0.1), name


def test_more_is_bigger():
    """Every field that can be lowered counts; presets are in order."""
    assert estimate(SMALL).luts < estimate(EIGHTH).luts < estimate(FULL).luts
    for changes in ({"topk_lanes": 8}, {"axi_data_bits": 128}, {"operand_bits": 16},
                    {"multipliers": 64}, {"decision_rules": 1}):
        assert estimate(SMALL.replace(**changes)).luts > estimate(SMALL).luts, changes
    assert estimate(SMALL.replace(sram_tokens=256)).brams < estimate(SMALL).brams


def test_small_fits():
    check_fit(SMALL, LFE5U_85F)


@pytest.mark.parametrize(("config", "device"), [(EIGHTH, LFE5U_85F), (FULL, LFE5U_85F), (FULL, XC7K325T)])
def test_what_is_named_fits(config, device):
    """The refusal names estimate, holdings and fields; lowered as it says, the configuration fits."""
    with pytest.raises(UserError) as refusal:
        check_fit(config, device)
    text = str(refusal.value)
    assert text.startswith(f"'{config.name}' is too big for {device.name}: an estimated ") and "\n" not in text
    assert re.search(rf"[\d,]+ DSPs of {device.holds.dsps:,}", text) and "topk=" not in text
    changes = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", text.split("; lower ")[1])}
    assert all(value < getattr(config, name) for name, value in changes.items())
    check_fit(config.replace(**changes), device)
