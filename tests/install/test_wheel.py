"""The wheel: one name in site-packages, all commands from there, whatever lies beside the user's files."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import numpy as np
import pytest

from spatten_hw.cli import COMMANDS
from tests.integration.builds import QUAD

ROOT = Path(__file__).resolve().parents[2]
FIELDS = [word for name, value in QUAD.fields.items() if name != "name" for word in ("--set", f"{name}={value}")]


def call(*command, cwd, **variables):
    """A command without this checkout on its path."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PYTHONDONTWRITEBYTECODE": "1", **variables}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, timeout=500,
                          check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The one in the folder $SPATTEN_DIST, which `make dist` has made, or one of the present sources."""
    if os.environ.get("SPATTEN_DIST"):
        return next(Path(os.environ["SPATTEN_DIST"]).resolve().glob("*.whl"))
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    # Not from the checkout itself: setuptools leaves `build/` there.
    shutil.copytree(ROOT, copy, symlinks=True, ignore=lambda path, names: {
        name for name in names if name.startswith(".") or name in ("build", "tests", "__pycache__")
        or name.endswith(".egg-info")})
    call(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, copy,
         cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A fresh environment with the wheel; what it requires is taken from this one's."""
    home = tmp_path_factory.mktemp("environment")
    call(sys.executable, "-m", "venv", "--without-pip", home, cwd=home)
    python = home / "bin" / "python"
    call(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel, cwd=home)
    # As a line of a .pth file, not as a site: this environment's editable install is not followed.
    site = Path(call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home).strip())
    (site / "requirements.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin", site


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A user's folder with packages of these names in it."""
    folder = tmp_path_factory.mktemp("users")
    for name in ("sim", "boards", "tests"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise SystemExit('the user\\'s own package')\n")
    rng = np.random.default_rng(1)
    q, k, v = rng.normal(size=(3, 1, 2, 8, 8))
    np.savez(folder / "attention.npz", q=q, k=k, v=v)
    return folder


def test_one_name(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"spatten_hw"}
    for needed in ("spatten_hw/sim/harness/harness.cpp", "spatten_hw/sim/dram/replay.cpp",
                   "spatten_hw/sim/report/page.css", "spatten_hw/sim/sweep/page.js",
                   "spatten_hw/boards/simulation/uart_system.cpp", "spatten_hw/boards/ulx3s_85f.py",
                   "spatten_hw/host/driver.py"):
        assert needed in names
    tracked = subprocess.run(["git", "ls-files", "spatten_hw", "sim", "boards"], cwd=ROOT, capture_output=True,
                             text=True, check=False).stdout.split()
    for file in tracked:
        if file.endswith((".cpp", ".h", ".css", ".js")):
            assert f"spatten_hw/{file.removeprefix('spatten_hw/')}" in names


@pytest.mark.skipif("SPATTEN_DIST" not in os.environ, reason="make dist")
def test_the_source_archive_gives_the_same_wheel(wheel, tmp_path):
    archive = next(wheel.parent.glob("*.tar.gz"))
    call(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", tmp_path, archive,
         cwd=tmp_path)
    assert sorted(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()) == sorted(zipfile.ZipFile(wheel).namelist())


def test_it_is_the_wheel_that_runs(installed, place):
    folder, site = installed
    said = call(folder / "python", "-c", "import spatten_hw.sim.engine as e; print(e.__file__)", cwd=place)
    assert Path(said.strip()) == site / "spatten_hw/sim/engine.py"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_asked(installed, place, name):
    assert f"spatten-hw {name}" in call(installed[0] / "spatten-hw", name, "--help", cwd=place)


def test_generates_and_runs_outside_the_checkout(installed, place):
    """Verilog, the golden model and the simulation; nothing is written beside the package."""
    folder, site = installed
    before = sorted(site.rglob("*"))
    call(folder / "spatten-hw", "generate", *FIELDS, "-o", "build/mine", cwd=place)
    assert (place / "build/mine/spatten.v").stat().st_size > 100_000
    call(folder / "spatten-hw", "run", "attention.npz", *FIELDS, "--engine", "golden", "--out", "a.npz", cwd=place)
    call(folder / "spatten-hw", "run", "attention.npz", *FIELDS, "--engine", "rtl", "--out", "b.npz", cwd=place)
    with np.load(place / "a.npz") as golden, np.load(place / "b.npz") as rtl:
        assert golden.files and all(np.array_equal(golden[name], rtl[name]) for name in golden.files)
    assert sorted(site.rglob("*")) == before


def test_the_users_cache_folder(installed, place, tmp_path):
    """Without a checkout and without $SPATTEN_BUILD."""
    env = {"SPATTEN_BUILD": "", "XDG_CACHE_HOME": str(tmp_path)}
    assert call(installed[0] / "spatten-hw", "cache", cwd=place, **env).startswith(f"{tmp_path}/spatten-hw\n")
