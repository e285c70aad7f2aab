"""SpAttenConfig: presets are valid, every violation is listed, the hash covers every field but the name."""

import argparse
import dataclasses
from pathlib import Path

import pytest

from spatten_hw import PRESETS, ConfigError, SpAttenConfig
from spatten_hw.commands.config import add_config_arguments, config_from_args


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_named(name):
    assert PRESETS[name].name == name
    assert PRESETS[name].replace() == PRESETS[name]


def test_paper_figures_of_the_full_preset():
    full = PRESETS["full"]
    assert full.multipliers == 512 and full.slices == full.channels == 16
    assert full.channels * full.beat_bytes == 512
    # 2 × 1024 × 64 × 12 bit = 196 KB for each of K and V.
    assert 2 * full.sram_tokens * full.max_dim * full.operand_bits == 2 * 1024 * 64 * 12


def test_every_violation_is_listed_with_field_value_rule_remedy():
    with pytest.raises(ConfigError) as error:
        SpAttenConfig(multipliers=48, slots=3, max_group=8, operand_bits=11)
    text = error.value.violations
    for field in ("multipliers", "slots", "max_group", "operand_bits"):
        assert any(line.startswith(f"{field} = ") and ";" in line for line in text), field


@pytest.mark.parametrize("changes", [
    {"multipliers": "many"}, {"multipliers": True}, {"multipliers": 0}, {"multipliers": -4}, {"chunk": 0},
    {"topk_lanes": 1}, {"channels": 32}, {"reads": 1}, {"reads": 24}, {"topk": "none"}, {"pool_beats": 8},
    {"sram_tokens": 2048}, {"max_dim": 1024}, {"max_dim": 48}, {"chunk": 64, "max_dim": 32}, {"axi_data_bits": 8},
    {"chunk": 24}, {"max_tokens": 8, "sram_tokens": 8}, {"sram_tokens": 8}, {"max_group": 32}, {"job_queue": 1},
])
def test_bad_values_raise_config_errors(changes):
    with pytest.raises(ConfigError):
        PRESETS["full"].replace(**changes)


def test_hash_covers_every_field_but_the_name():
    small = PRESETS["small"]
    assert small.replace(name="other").hash == small.hash
    base = PRESETS["eighth"].replace(max_dim=32, topk_lanes=8, sram_tokens=512)
    hashes = {base.hash}
    names = [f.name for f in dataclasses.fields(SpAttenConfig) if f.name not in ("name", "topk")]
    for name in names:
        value = getattr(base, name)
        for candidate in (value * 2, value // 2, value + 2, 16, 32, 1 - value):
            try:
                other = base.replace(**{name: candidate})
            except ConfigError:
                continue
            if other != base:
                hashes.add(other.hash)
                break
        else:
            pytest.fail(f"no other valid value of {name}")
    assert len(hashes) == len(names) + 1


@pytest.mark.parametrize("name,preset", [("long", "eighth"), ("long-full", "full")])
def test_the_examples_for_a_long_context(name, preset):
    """They are a preset but for its context and its jobs of several queries."""
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    found = config_from_args(parser.parse_args(["--config", str(Path(__file__).parents[2] / f"examples/{name}.toml")]))
    assert found == PRESETS[preset].replace(name=name, max_tokens=8192, chunk_queries=1)


def test_a_feature_that_is_off_leaves_no_trace():
    """A build without several queries states what it stated before there was the field."""
    without, has = PRESETS["small"], PRESETS["small"].replace(chunk_queries=1)
    assert set(has.stated) - set(without.stated) == {"chunk_queries"} and has.hash != without.hash
    assert without.hash == 0xff85bfdb
