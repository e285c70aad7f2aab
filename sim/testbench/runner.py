"""Runs cocotb coroutines of a test module on one Amaranth component, compiled by Verilator.

    @cocotb.test()
    async def random_vectors(dut):        # found by cocotb inside the simulation
        bench = Bench(dut) ...

    def test_adder():                     # found by pytest
        run_bench(Adder(8), __name__, params={"width": 8})

Only the top's ports are public (a `.vlt` file names nothing else), which makes the simulation several
times faster than cocotb's default. Builds are kept by a hash of the Verilog in the build folder
(`sim/harness/kept.py`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cocotb_tools.check_results as check_results
import cocotb_tools.config
from amaranth.lib import wiring
from cocotb_tools.runner import Verilator

from spatten_hw.sim.harness import variant
from spatten_hw.sim.harness.kept import build_dir, library_dir
from spatten_hw.sim.harness.plain_paths import is_plain, plain, plain_temporary
from spatten_hw.sim.harness.precompiled import Headers
from spatten_hw.sim.harness.simulated import simulated
from spatten_hw.sim.harness.verilator import ONE_FILE, SOUND, SPLIT, start_seed, verilator_env
from spatten_hw.source_tree import PACKAGE, checkout

#: Where the simulator finds this package and its caller's.
ROOT = checkout() or PACKAGE.parent


class _PortsOnly(Verilator):
    """cocotb's Verilator runner without `--public-flat-rw`; the ports are public through a `.vlt` file. `headers`: what
    a design of one file is compiled with."""

    headers: Headers | None = None

    def _build_command(self):
        commands = super()._build_command()
        if "--public-flat-rw" not in commands[0]:
            raise RuntimeError("cocotb's Verilator runner changed: --public-flat-rw is gone, drop _PortsOnly")
        commands[0] = [self._plain(a) for a in commands[0] if a != "--public-flat-rw"]
        # Between Verilator and make: runtime objects of an earlier build, newer than the makefile.
        kept = sorted(str(o) for o in _runtime_cache(self.waves).glob("*.o"))
        if kept:
            commands.insert(1, ["cp", *kept, str(self.build_dir)])
        if self.headers is not None:
            if self.headers.missing:
                commands.insert(-1, [*commands[-1], *self.headers.compile])
            commands[-1] += self.headers.use
        return commands

    @staticmethod
    def _plain(argument: str) -> str:
        """An argument that names cocotb's folders by paths that make can use. (What is linked with its libraries finds
        them when it runs through LD_LIBRARY_PATH.)"""
        for folder in (cocotb_tools.config.libs_dir, cocotb_tools.config.share_dir):
            argument = argument.replace(str(folder), str(plain(folder)))
        return argument


@contextmanager
def _plain_folder(build: Path) -> Iterator[Path]:
    """The empty folder `build`, or where make cannot use that path another, whose files are moved there afterwards."""
    if is_plain(build):
        yield build
        return
    with tempfile.TemporaryDirectory(prefix="spatten-hw-", dir=plain_temporary(build)) as work:
        yield Path(work)
        shutil.copytree(work, build, dirs_exist_ok=True)


def run_bench(component: wiring.Component, module: str, *, params: Mapping[str, object] | None = None,
              testcase: str | list[str] | None = None, without: str | None = None, top: str = "top",
              seed: int | None = None,
              waves: bool | None = None, opt_fast: str = "-O0") -> None:
    """Builds `component` and runs the cocotb tests of `module` (only `testcase`, or all but `without`) on it.

    `params` reaches the coroutines through `params()`. The seed, of the bench and of what registers without reset begin
    with, is `seed`, else $SEED, else 1; cocotb prints it. $WAVES=1 writes a VCD beside the build. `opt_fast`: the C++
    compiler's effort on the model (-O0 for big models that run briefly). Raises AssertionError naming the failed
    coroutines.
    """
    text = simulated(variant.simulated_verilog(component, top), fatal=True)
    seed = start_seed(seed)
    waves = bool(int(os.environ.get("WAVES", "0"))) if waves is None else waves
    kind = f"{waves}{'' if opt_fast == '-O1' else opt_fast}{variant.compiled()}"
    digest = hashlib.sha256(f"3{SOUND}{text}{kind}".encode()).hexdigest()[:16]
    build = build_dir() / "bench" / digest
    env = verilator_env(opt_fast=opt_fast, opt_slow="-O0")
    saved = {k: os.environ.get(k) for k in ("PATH", "VERILATOR_ROOT", "MAKEFLAGS")}
    os.environ.update({k: env[k] for k in saved})
    try:
        runner = _PortsOnly()
        done = build / "done"
        if not done.exists():
            shutil.rmtree(build, ignore_errors=True)
            build.mkdir(parents=True)
            with _plain_folder(build) as work:
                (work / f"{top}.v").write_text(text)
                ports = work / "ports.vlt"
                ports.write_text(f'`verilator_config\npublic_flat_rw -module "{top}" -port "*"\n')
                split = len(text) >= SPLIT
                runner.headers = None if split else _headers(waves, opt_fast)
                runner.build(sources=[ports, work / f"{top}.v"], hdl_toplevel=top, build_dir=work, waves=waves,
                             always=True, timescale=("1ns", "1ps"), log_file=build / "build.log",
                             build_args=["-CFLAGS", SOUND, *variant.verilator_options(), "-Wno-fatal", "-Wno-WIDTH",
                                         "-Wno-PROCASSINIT", "--x-assign", "0",
                                         *(() if split else ONE_FILE)])
                _keep_runtime(work, _runtime_cache(waves))
            done.touch()
        _adopt(runner, top, build, waves)
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        which = f"{module}{testcase}{without or ''}{worker}{json.dumps(dict(params or {}))}"
        tag = hashlib.sha256(which.encode()).hexdigest()[:8]
        test_dir = build / f"run-{tag}"
        test_dir.mkdir(exist_ok=True)
        count, failed = _simulate(
            runner, test_module=module, hdl_toplevel=top, hdl_toplevel_lang="verilog", build_dir=build,
            test_dir=test_dir, waves=waves,
            testcase=testcase, test_filter=rf"^(?!.*\b{without}$)" if without else None,
            seed=seed, plusargs=[f"+verilator+seed+{seed}"],
            results_xml=str(test_dir / "results.xml"), log_file=test_dir / "test.log", timescale=("1ns", "1ps"),
            extra_env={"BENCH_PARAMS": json.dumps(dict(params or {})), "PYTHONPATH": str(ROOT),
                       "LD_LIBRARY_PATH": os.pathsep.join(filter(None, (str(cocotb_tools.config.libs_dir),
                                                                       os.environ.get("LD_LIBRARY_PATH")))),
                       "COCOTB_ANSI_OUTPUT": "0"})
        _collect_coverage(test_dir, text)
    except (Exception, SystemExit) as error:
        raise AssertionError(f"{error}\n{_tail(build)}") from error
    finally:
        for k, v in saved.items():
            if v is None:
                os.environ.pop(k, None)
            else:
                os.environ[k] = v
    assert count > 0, f"no cocotb test ran in {module}"
    assert failed == 0, f"{failed} of {count} cocotb tests failed\n{_tail(test_dir)}"


def _simulate(runner: Verilator, **arguments: Any) -> tuple[int, int]:
    """Tests run, and failed ones. What cocotb needs to show the values in a failed assertion takes three times as long
    to load as everything else: it is asked for after a failure, of which the same seed makes the same again. Who sets
    cocotb's own $COCOTB_REWRITE_ASSERTION_FILES decides, and nothing runs twice."""
    asked = os.environ.get("COCOTB_REWRITE_ASSERTION_FILES")
    if asked is None:
        with contextlib.suppress(Exception, SystemExit):
            count, failed = _tests(runner, arguments, "")
            if not failed:
                return count, failed
    return _tests(runner, arguments, "*.py" if asked is None else asked)


def _tests(runner: Verilator, arguments: dict, shown: str) -> tuple[int, int]:
    """One run; `shown`: in which files assertions show their values."""
    more = {**arguments["extra_env"], "COCOTB_REWRITE_ASSERTION_FILES": shown}
    return check_results.get_results(runner.test(**{**arguments, "extra_env": more}))


def _adopt(runner: Verilator, top: str, build: Path, waves: bool) -> None:
    """Tells the runner about a build made earlier."""
    runner.hdl_toplevel = top
    runner.build_dir = build
    runner.waves = waves


#: Objects of Verilator's own runtime: the same for every build, and most of its time. (cocotb's main,
#: verilator.o, is not among them: it depends on the size of the model.)
_RUNTIME = ("verilated.o", "verilated_dpi.o", "verilated_vpi.o", "verilated_threads.o", "verilated_vcd_c.o")


def _runtime_cache(waves: bool) -> Path:
    return build_dir() / f"runtime2-{int(waves)}{variant.compiled()}"


def _headers(waves: bool, level: str) -> Headers:
    cache = _runtime_cache(waves)
    cache.mkdir(parents=True, exist_ok=True)
    return Headers(cache, level, "#include <verilated_vpi.h>\n")


def _keep_runtime(build: Path, cache: Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    for name in _RUNTIME:
        if (build / name).exists() and not (cache / name).exists():
            part = cache / f"{name}.{os.getpid()}"
            shutil.copyfile(build / name, part)
            part.rename(cache / name)


def _collect_coverage(test_dir: Path, text: str) -> None:
    """Takes what cocotb's simulation covered to where the libraries leave theirs (`coverage.h`)."""
    found, folder = test_dir / "coverage.dat", os.environ.get(variant.COVERAGE)
    if folder and found.exists():
        name = variant.keep_text(text, library_dir())
        shutil.move(found, Path(folder) / f"{name}-{test_dir.name}-{os.getpid()}-{time.monotonic_ns()}.dat")


def _tail(folder: Path) -> str:
    logs = sorted(folder.rglob("*.log"), key=lambda p: p.stat().st_mtime)
    return "\n".join(f"{p}:\n" + "\n".join(p.read_text(errors="replace").splitlines()[-40:]) for p in logs[-1:])


def params() -> dict:
    """Inside a coroutine: what `run_bench(params=…)` was given."""
    return json.loads(os.environ["BENCH_PARAMS"])
