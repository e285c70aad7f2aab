"""Runs of tests on a mutant, and what is made of their results."""

import dataclasses
import os
import re
import signal
import time
from pathlib import PurePosixPath

import pytest

from spatten_hw.sim.verify import mutant_runs, mutant_table, mutant_unit, mutants, units
from spatten_hw.sim.verify.mutant_runs import NUMBER, Run, limit_of, run_tests
from spatten_hw.sim.verify.mutant_table import Row, table
from spatten_hw.sim.verify.sites import Mutant, Site
from spatten_hw.sim.verify.units import UNITS, Unit, unit_of

TESTS = '''
import os, time
def test_quick(): pass
def test_number():
    assert os.environ["SPATTEN_MUTANT"] != "2", "mutant 2 is noticed"
    if os.environ["SPATTEN_MUTANT"] == "3": time.sleep(1000)
    if os.environ["SPATTEN_MUTANT"] == "4": os.abort()
def test_slow(): pass
'''


@pytest.fixture
def tests(tmp_path):
    file = tmp_path / "test_of_it.py"
    file.write_text(TESTS)
    return file


def test_a_run_stops_at_the_first_failure_a_hang_or_a_crash(tests, tmp_path):
    listed, log = tmp_path / "list.json", tmp_path / "log"
    good = run_tests([str(tests)], 1, listed, {}, None, log)
    assert good.verdict == "passed" and len(good.durations) == 3
    assert NUMBER not in os.environ
    bad = run_tests([str(tests)], 2, listed, {}, None, log)
    assert bad.verdict == "failed" and bad.test.endswith("test_number") and len(bad.durations) == 2
    assert run_tests([str(tests)], 3, listed, {}, 3.0, log).verdict == "timeout"
    assert run_tests([str(tests)], 4, listed, {}, None, log).verdict == "failed"
    assert run_tests([str(tests.with_name("test_absent.py"))], 1, listed, {}, None, log).verdict == "broken"
    first = next(t for t in good.durations if t.endswith("test_number"))
    order = dict.fromkeys(good.durations, 5.0) | {first: 1.0}
    assert list(run_tests([str(tests)], 2, listed, order, None, log).durations) == [first]
    assert not list(tmp_path.glob("run-*"))


def test_a_stop_takes_the_run_with_it(tests, tmp_path, monkeypatch):
    children, log = [], tmp_path / "log"

    def stop(child, limit):
        children.append(child)
        raise KeyboardInterrupt
    monkeypatch.setattr(mutant_runs, "_wait", stop)
    with pytest.raises(KeyboardInterrupt):
        run_tests([str(tests)], 3, tmp_path / "list.json", {}, None, log)
    with pytest.raises(ProcessLookupError):
        os.kill(children[0], 0)


def test_ctrl_c_says_how_to_go_on(monkeypatch, capsys):
    def stopped(options):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
    monkeypatch.setattr(mutants, "_run", stopped)
    assert mutants.main([]) == 130
    assert "goes on from here" in capsys.readouterr().err


def test_the_limit_leaves_room():
    assert limit_of(Run("passed", 12.0, durations={"a": 10.0})) > 10.0


MUTANTS = [Mutant(Site("bus/x.py", f"line {n}", "$lt as $le"), "every") for n in range(1, 4)]


def a_unit(tests, tmp_path, monkeypatch) -> mutant_unit.UnitMutants:
    """Mutants 1, 2 and 3; number 2 is noticed by the bench of one test file, which is the accelerator's as well."""
    monkeypatch.setattr(mutant_unit, "ACCELERATOR", (tests.name,))
    monkeypatch.setattr(mutant_runs, "ROOT", tests.parent)
    monkeypatch.setattr(mutant_unit, "limit_of", lambda run: 15.0)
    (tmp_path / "list.json").write_text("{}")
    numbers = {m: n for n, m in enumerate(MUTANTS, 1)}
    monkeypatch.setattr(units, "ROOT", tests.parent)
    monkeypatch.setattr(mutant_unit, "ROOT", tests.parent)
    return mutant_unit.UnitMutants(Unit("bus", ("bus/",), (tests.name,)), MUTANTS, numbers, tmp_path, "design")


def test_a_stopped_run_goes_on_and_a_survivor_is_tried_again_only_by_other_tests(tests, tmp_path, monkeypatch, capsys):
    unit = a_unit(tests, tmp_path, monkeypatch)
    unit.run(0.0, own=False)  # the time is up before the first
    assert unit.row().untried == 3
    unit.run(None, own=False)
    row = a_unit(tests, tmp_path, monkeypatch).row()
    assert (row.own, row.accelerator, row.survivors, row.untried) == (2, 0, (MUTANTS[0].key,), 0)
    assert row.timeouts == 1
    capsys.readouterr()
    a_unit(tests, tmp_path, monkeypatch).run(None, own=False)
    assert capsys.readouterr().out == ""
    tests.write_text(TESTS.replace('!= "2"', '!= "1"'))
    a_unit(tests, tmp_path, monkeypatch).run(None, own=False)
    assert a_unit(tests, tmp_path, monkeypatch).row().survivors == ()
    other = dataclasses.replace(a_unit(tests, tmp_path, monkeypatch), design="another", results={})
    assert other.row().untried == 3


def test_equivalent_mutants_count_for_nothing(monkeypatch):
    keys = [m.key for m in MUTANTS]
    monkeypatch.setattr(mutant_table, "equivalent", lambda: {keys[0]: "it is the same"})
    row = Row.of("bus", keys, {keys[1]: {"killed": "accelerator"}, keys[2]: {"survived": {}}})
    assert (row.equivalent, row.accelerator, row.survivors) == (1, 1, (keys[2],))
    assert row.killed_percent == 50.0
    assert "| bus | 3 | 0 | 1 | 1 | 1 | 0 | 50.0 % |" in table([row])


def test_every_source_has_one_unit_and_every_unit_its_tests():
    for unit in UNITS:
        assert unit.bench
        # A pattern without a star names a file that is there.
        assert all("*" in pattern or pattern in unit.bench for pattern in unit.patterns)
        assert all((mutant_unit.ROOT / "spatten_hw" / source).exists() for source in unit.sources)
    assert unit_of("accelerator.py") is None
    assert unit_of("matmul/value_sums.py").name == "matmul/prob_value"
    assert unit_of("matmul/dot_product.py").name == "matmul/score"


def test_every_bench_of_a_block_is_a_units():
    """What simulates a block is run on its mutants, and for coverage. (The exhaustive ones run benches once more.)"""
    folders = {PurePosixPath(file).parts[1] for unit in UNITS for file in unit.bench}
    simulate = {str(path.relative_to(mutant_unit.ROOT)) for folder in folders
                for path in (mutant_unit.ROOT / "tests" / folder).glob("test_*.py")
                if re.search(r"\b(Block|Rig|run_bench)\b", path.read_text())}
    assert len(simulate) > 20
    assert simulate - {file for unit in UNITS for file in unit.bench} == {"tests/softmax/test_exhaustive.py"}


@pytest.mark.parametrize("arguments, what", [(["--unit", "x"], "no such unit"), (["--count", "0"], "at least 1")])
def test_bad_input_is_one_line(arguments, what, capsys):
    assert mutants.main(arguments) == 2
    error = capsys.readouterr().err
    assert what in error and error.count("\n") == 1
