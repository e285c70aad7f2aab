"""One import name, one digest of the sources."""

import ast
from pathlib import Path

import pytest

from spatten_hw import source_tree
from spatten_hw.source_tree import PACKAGE, checkout, generator_sources, repository, sources_digest

ROOT = Path(__file__).resolve().parents[2]


def test_a_checkout_is_known():
    assert checkout() == repository() == ROOT
    assert (PACKAGE / "sim").resolve() == ROOT / "sim" and (PACKAGE / "boards").resolve() == ROOT / "boards"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package of its own, with two sources."""
    for name in ("__init__.py", "fetch/port.py", "sim/engine.py", "boards/top.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a = 1\n")
    monkeypatch.setattr(source_tree, "PACKAGE", tmp_path)
    checkout.cache_clear()
    yield tmp_path
    checkout.cache_clear()


def test_an_installed_package_is_no_checkout(package):
    assert checkout() is None
    with pytest.raises(RuntimeError, match="in a checkout only"):
        repository()


def test_digest_is_of_the_generator_alone(package):
    before = sources_digest()
    assert [path.name for path in generator_sources()] == ["__init__.py", "port.py"]
    (package / "sim/engine.py").write_text("a = 2\n")
    (package / "boards/top.py").write_text("a = 2\n")
    assert sources_digest() == before
    (package / "fetch/port.py").write_text("a = 2\n")
    changed = sources_digest()
    assert len({before, changed, sources_digest([package / "sim/engine.py"]), sources_digest(text="x")}) == 4
    (package / "fetch/port.py").rename(package / "fetch/ports.py")
    assert sources_digest() != changed


def imported(path):
    """The modules that a file imports by their whole names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module


def test_nothing_is_imported_by_another_name():
    """`sim` and `boards` would be whatever lies beside the user's script."""
    for top in ("spatten_hw", "sim", "boards", "tests"):
        for path in (ROOT / top).rglob("*.py"):
            assert not {name.split(".")[0] for name in imported(path)} & {"sim", "boards"}, path
