"""The table of units is what the accelerator, its registers and its probes have."""

import pytest

from spatten_hw import probe, units
from spatten_hw.boards.flow.units import unit_modules
from spatten_hw.hierarchy import FIGURE, modules
from spatten_hw.interface.activity import ACTIVE_UNITS
from spatten_hw.interface.registers import COUNTERS
from spatten_hw.presets import EIGHTH, FULL, PRESETS, SMALL
from spatten_hw.units import GLUE_LAWS, UNITS


def test_the_accelerator_consists_of_the_units(generated):
    found = modules((generated("small")[0] / "spatten.v").read_text())
    inside = found["spatten__accelerator"].instances
    named = {name: module for name, module in inside.items() if not module.startswith("spatten__accelerator__")}
    assert named == unit_modules()
    # What the header of the Verilog says has a module each; the bit-width converter is in a port that rows come by.
    for module in FIGURE:
        assert any(name.removeprefix("spatten_").removeprefix("_accelerator__") == module for name in found), module


def test_names_are_used_once():
    for names in ([unit.name for unit in UNITS], [unit.word for unit in UNITS], [unit.module for unit in UNITS],
                  [unit.event for unit in UNITS if unit.event]):
        assert len(names) == len(set(names))


def test_counters_and_activity_are_of_units():
    busy = {counter.name for counter in COUNTERS if counter.name.startswith(("busy_", "stall_"))}
    assert busy == {f"busy_{u.event}" for u in UNITS if u.busy} | {f"stall_{u.event}" for u in UNITS if u.stall}
    assert [name for name, _, _ in ACTIVE_UNITS] == ["FETCH", "SCORE", "SOFTMAX", "TOPK", "VALUE", "WRITE", "CASCADE",
                                                     "JOB_READER"]


def test_streams_run_between_units():
    known = {unit.word for unit in UNITS} | {units.HOST}
    for stream in probe.observed(EIGHTH):
        for end in filter(None, (stream.source, stream.sink)):
            assert end in known or end.startswith(f"{units.MEMORY} "), stream


#: `spatten-hw bench area --unit local_topk` with either engine, without and with the decision rules beside the paper's:
#: LUTs, flip-flops, DSPs, block RAMs.
MEASURED = {("small", "linerate", 0): (4651, 2370, 0, 15), ("small", "quickselect", 0): (3323, 2280, 7, 10),
            ("eighth", "linerate", 0): (15132, 4997, 0, 31), ("eighth", "quickselect", 0): (9741, 5453, 7, 28),
            ("eighth", "linerate", 1): (17045, 6004, 2, 35), ("full", "linerate", 0): (16213, 6815, 0, 33)}


@pytest.mark.parametrize("preset,engine,rules", MEASURED)
def test_engines_take_what_was_measured(preset, engine, rules):
    found = units.BY_NAME["local_topk"].area(PRESETS[preset].replace(topk=engine, decision_rules=rules))
    for quantity, value in zip(("luts", "flip_flops", "dsps", "brams"), MEASURED[preset, engine, rules], strict=True):
        assert found.get(quantity, 0) == pytest.approx(value, rel=0.03, abs=0.5), quantity


def test_areas_are_those_of_the_laws():
    """More is bigger, nothing is below 0, and the arrays' multipliers are one block each, beside those of addresses."""
    small, full = units.area(SMALL), units.area(FULL)
    assert list(small) == [*(unit.name for unit in UNITS), "glue"]
    for unit, laws in small.items():
        assert all(0 <= value <= full[unit][quantity] for quantity, value in laws.items()), unit
    assert small["score"]["dsps"] == SMALL.multipliers
    assert full["prob_value"]["dsps"] == FULL.multipliers + 3 * FULL.slices
    assert small["glue"] == {quantity: law(SMALL) for quantity, law in GLUE_LAWS.items()}
