"""Estimates against what synthesis found, and what they refuse."""

import re

import pytest

from spatten_hw.boards.flow.devices import LFE5U_85F, XC7K325T
from spatten_hw.boards.flow.estimate import check_fit, estimate
from spatten_hw.errors import UserError
from spatten_hw.presets import EIGHTH, FULL, PRESETS, SMALL

#: `spatten-hw bench area`, whole of a preset (docs/fpga-findings.md): what the laws are fitted to. Block RAMs of the
#: larger presets are not: how deep the fetcher's rings are decides between them and LUTs.
MEASURED = {("small", "ecp5"): {"luts": 39630, "flip_flops": 40008, "dsps": 85, "brams": 109},
            ("small", "xc7"): {"luts": 25397, "flip_flops": 30215, "dsps": 85, "brams": 49.5},
            ("eighth", "ecp5"): {"luts": 184501, "flip_flops": 140017, "dsps": 188},
            ("full", "ecp5"): {"luts": 1156496, "flip_flops": 585311, "dsps": 1154}}


@pytest.mark.parametrize(("preset", "family"), MEASURED)
def test_presets_as_measured(preset, family):
    found = estimate(PRESETS[preset], family)
    for name, value in MEASURED[preset, family].items():
        assert getattr(found, name) == pytest.approx(value, rel=0.1), name


def test_more_is_bigger():
    """Every field that can be lowered counts; presets are in order."""
    assert estimate(SMALL).luts < estimate(EIGHTH).luts < estimate(FULL).luts
    for changes in ({"topk_lanes": 8}, {"axi_data_bits": 128}, {"operand_bits": 16},
                    {"multipliers": 64}):
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
    assert re.search(rf"[\d,]+ LUTs of {device.holds.luts:,}", text)
    changes = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", text.split("; lower ")[1])}
    assert all(value < getattr(config, name) for name, value in changes.items())
    check_fit(config.replace(**changes), device)
