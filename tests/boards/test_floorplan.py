"""Places of the arrays' multipliers in a netlist."""

import json
import re

from spatten_hw.boards.flow.devices import LFE5U_85F
from spatten_hw.boards.flow.floorplan import ECP5_85, REGIONS, floorplan
from spatten_hw.boards.flow.netlist import prepare
from spatten_hw.hierarchy import modules


def netlist(cells: list[str]):
    """As Yosys writes it."""
    return {"ports": {}, "cells": {
        name: {"hide_name": 0, "type": "LUT4" if "LUT" in name else "MULT18X18D", "parameters": {},
               "attributes": {"src": "a.py:1", "keep": "1"}, "port_directions": {}, "connections": {}}
        for name in cells}}


def names(unit: str, count: int) -> list[str]:
    return [f"dut.{unit}.${n}_MULT18X18D_P9" for n in sorted(range(count), key=str)]


def test_every_array_gets_its_rows(tmp_path):
    others = [*names("pruner.chooser", 3), "dut.score.slice_0.block.dot.LUT"]
    cells = [*names("score.slice_0.block.dot", 32), *names("prob_value.slice_0.block.sums", 32), *others]
    file = tmp_path / "netlist.json"
    file.write_text(json.dumps({"modules": {"top": netlist(cells)}}))
    prepare(file, LFE5U_85F)
    kept = json.loads(file.read_text())["modules"]["top"]["cells"]
    places = floorplan(netlist(cells), ECP5_85)
    written = {name: cell["attributes"]["BEL"] for name, cell in kept.items() if "BEL" in cell["attributes"]}
    assert written == places
    assert all(cell["attributes"].keys() - {"BEL"} == {"keep"} for cell in kept.values())
    assert len(places) == 64 == len(set(places.values())) and not places.keys() & set(others)
    rows = [places[f"dut.score.slice_0.block.dot.${n}_MULT18X18D_P9"].split("/")[1] for n in range(32)]
    assert rows == ["Y58"] * 32
    assert [places[f"dut.prob_value.slice_0.block.sums.${n}_MULT18X18D_P9"] for n in (0, 1, 4, 31)] == [
        "X13/Y10/MULT18_0", "X14/Y10/MULT18_1", "X22/Y10/MULT18_0", "X83/Y10/MULT18_5"]


def test_regions_do_not_overlap():
    taken = [(row, block) for region in REGIONS for row in region.rows
             for block in range(region.first, region.first + region.blocks)]
    assert len(set(taken)) == len(taken) and max(block for _, block in taken) < len(ECP5_85.columns)


def test_what_does_not_fit_is_left_to_the_placer():
    cells = [*names("score.slice_0.block.dot", 64), *names("prob_value.slice_0.block.sums", 8)]
    places = floorplan(netlist(cells), ECP5_85)
    assert len(places) == 8 and all("prob_value" in name for name in places)


def test_the_design_has_what_the_regions_name(generated):
    """A region that names nothing would leave its multipliers to the placer, and the router to jam."""
    found = modules((generated("small")[0] / "spatten.v").read_text())

    def paths(module: str, path: str) -> list[str]:
        inside = found[module].instances.items() if module in found else ()
        return [path, *(deeper for name, of in inside for deeper in paths(of, f"{path}{name}."))]
    every = paths("spatten", ".")
    assert not [region.cells for region in REGIONS if not any(re.search(region.cells, path) for path in every)]
