"""JOB_LIMIT ends a job that takes too long with an error and an interrupt; ACTIVITY says where it hangs; after a reset
everything is right again."""

import os
import random

import pytest

from spatten_hw.host.driver import JOB_DONE, JOB_ERROR, Driver, JobError, JobTimeout
from spatten_hw.host.plan import Plan
from spatten_hw.interface.activity import ACTIVE_UNITS, READS, WRITES
from spatten_hw.interface.errors import ErrorCode
from spatten_hw.sim.harness.hang import HangError
from tests.faults.jobs import Solo, assert_right, finish

from .builds import QUAD, transport
from .test_jobs import make

SEED = int(os.environ.get("SEED", "23"))
LIMIT = 3000
#: TIMEOUT may come a few cycles behind the limit, and the count begins a few behind the job.
LATE = 12
CLASSES = [name for name, _ in READS + WRITES]
#: Class of bytes in memory → what ACTIVITY calls its reads.
READ_NAMES = {"descriptor": "READ_DESCRIPTOR", "state_in": "READ_STATE", "q": "READ_Q", "k_msb": "READ_K",
              "k_lsb": "READ_K", "v_msb": "READ_V", "v_lsb": "READ_V"}


def field(driver, register, name):
    return driver._field(register, name, driver._read(register))


def classes(driver):
    """Names of the accesses that ACTIVITY says are unanswered."""
    word = driver._read("ACTIVITY")
    return {name for name in CLASSES if driver._field("ACTIVITY", name, word)}


def open_reads(solo, found):
    """The same of what the memories have open in a hang, by where the job's bytes lie."""
    places = [(READ_NAMES[name], span) for name, spans in solo.places().items() if name in READ_NAMES for span in spans]
    names = set()
    for m in found.memory:
        for _, address, *_ in m.reads:
            # A beat at an end may hold bytes of the next class, too: what is read there begins inside.
            names.add(next(name for name, (channel, first, end) in places
                           if channel == m.channel and first <= address < end))
    return names


def assert_stopped(driver, tag):
    """Nothing but a reset helps: no completion, no push."""
    assert field(driver, "STATUS", "TIMED_OUT") == 1
    assert field(driver, "STATUS", "ERROR") == ErrorCode.TIMEOUT
    driver._write("JOB_PUSH", tag)
    assert field(driver, "STATUS", "PUSH_REFUSED") == 1
    driver.transport.run(2 * LIMIT)
    assert driver._read("COMPLETION") == 0


def test_a_limit_that_is_kept_changes_nothing():
    with transport(QUAD) as port:
        solo = Solo(QUAD, 1)
        driver = Driver(QUAD, port, job_limit=LIMIT)
        for tag in range(10):
            solo.submit(driver, tag)
        assert finish(driver, 10, 10_000) == [(tag, 0) for tag in range(10)]
        assert port.cycles > 2 * LIMIT, "together they take longer than one may"
        port.run(LIMIT + 100)      # nor does it without a job
        assert field(driver, "STATUS", "TIMED_OUT") == 0
        solo.submit(driver, 9)
        assert finish(driver, 1, 10_000) == [(9, 0)]
        assert_right(driver, [solo])


@pytest.mark.parametrize("held, told", [("hold_ar", "READ"), ("hold_r", "READ"), ("hold_aw", "WRITE"),
                                        ("hold_w", "WRITE"), ("hold_b", "WRITE")])
def test_a_memory_that_stops(held, told):
    """Job 1 is done, job 2 hangs, job 3 never begins or never ends; the error comes in time, a reset mends all."""
    rng = random.Random(f"{SEED}{held}")
    with transport(QUAD, patience=0) as port:
        solo = Solo(QUAD, 1)
        driver = Driver(QUAD, port, job_limit=LIMIT)
        driver._write("IRQ_ENABLE", JOB_ERROR)
        solo.submit(driver, 1)
        assert finish(driver, 1, 10_000) == [(1, 0)]
        for tag in (2, 3):
            solo.submit(driver, tag)
        start = port.cycles
        port.run(rng.randrange(200))
        port.trouble(**{held: True})
        assert port.wait_irq(2 * LIMIT)
        assert LIMIT - 200 < port.cycles - start <= LIMIT + LATE
        assert driver._read("IRQ_STATUS") == JOB_DONE | JOB_ERROR
        assert finish(driver, 1, 10) == [(2, ErrorCode.TIMEOUT)]
        assert any(name.startswith(told) for name in classes(driver)), driver.activity()
        assert_stopped(driver, 4)
        port.trouble()
        assert_stopped(driver, 5)      # nor does the memory's recovery
        port.reset(rng.choice((1, 2, 4)))
        driver = Driver(QUAD, port)
        assert driver._read("JOB_LIMIT") == 0 and driver._read("STATUS") == 0
        solo.submit(driver, 6)
        assert finish(driver, 1, 10_000) == [(6, 0)]
        assert_right(driver, [solo])


@pytest.mark.parametrize("limit", [1, 2, 40, 300])
def test_a_job_that_only_takes_long(limit):
    """The oldest job is blamed, whatever stage it is in; jobs before it have their completions."""
    with transport(QUAD) as port:
        solo = Solo(QUAD, 1)
        driver = Driver(QUAD, port)
        solo.load(driver)
        for tag in (10, 11, 12):
            driver.submit(solo.run.job, tag, solo.run.descriptor)
        assert finish(driver, 1, 10_000) == [(10, 0)]
        driver._write("JOB_LIMIT", limit)
        got = []
        while not got or got[-1][1] == 0:
            got += finish(driver, 1, 10_000)
        assert got[-1] == (10 + len(got), ErrorCode.TIMEOUT), got
        assert_stopped(driver, 13)
        port.reset(1)
        driver = Driver(QUAD, port)
        solo.submit(driver, 1)
        assert finish(driver, 1, 10_000) == [(1, 0)]
        assert_right(driver, [solo])


def test_a_host_that_takes_no_completions_is_no_job_that_takes_long():
    with transport(QUAD) as port:
        solo = Solo(QUAD, 1)
        driver = Driver(QUAD, port, job_limit=LIMIT)
        solo.load(driver)
        count = QUAD.job_queue + 4
        for tag in range(count):
            driver._write("JOB_ADDR_LO", solo.run.descriptor)
            if tag == 0:
                driver.submit(solo.run.job, tag, solo.run.descriptor)
            else:
                driver._write("JOB_PUSH", tag)
                driver._outstanding += 1
            port.run(LIMIT)
        port.run(4 * LIMIT)
        assert field(driver, "STATUS", "TIMED_OUT") == 0
        assert finish(driver, count, 10_000) == [(tag, 0) for tag in range(count)]


def test_activity_says_what_memory_owes():
    """At random moments nothing is answered any more: what the register says is what the memories have open."""
    rng = random.Random(SEED)
    seen, exact = set(), 0
    with transport(QUAD, patience=300) as port:
        for n in range(60):
            solo = Solo(QUAD, 1, queries=rng.choice((None, 1)))
            driver = Driver(QUAD, port)
            for tag in (2 * n, 2 * n + 1):
                solo.submit(driver, tag)
            port.run(rng.randrange(1800))
            port.trouble(**{rng.choice(("hold_r", "hold_b")): True})
            try:
                driver.wait(100_000)
                driver.wait(100_000)
            except HangError as error:
                found = error.hang
            else:
                port.trouble()
                continue                          # both had ended before
            told = classes(driver)
            open_ = open_reads(solo, found)
            where = f"SEED={SEED}, {n}: {driver.activity()}; {found.table}"
            reads = {name for name in told if name.startswith("READ")}
            assert reads <= open_, where
            assert bool(told - reads) == any(m.writes for m in found.memory), where
            assert told, where
            exact += reads == open_
            seen |= told
            # Somebody has work, and the stages say with which job.
            word = driver._read("ACTIVITY")
            assert any(driver._field("ACTIVITY", name, word) for name, *_ in ACTIVE_UNITS), where
            stages = {driver._field("JOB_TAGS", s, driver._read("JOB_TAGS")) for s in ("FRONT", "BACK")
                      if driver._field("ACTIVITY", s, word)}
            assert stages == set(found.jobs), where
            port.trouble()
            port.reset(1)
    assert seen == set(CLASSES)
    assert exact > 20


def test_the_driver_says_which_layer_and_what_is_owed():
    workload = make(4)
    plan = Plan(workload, QUAD)
    late = r"layer 0: .*took more cycles than JOB_LIMIT.*\(error 96\); front stage: "
    for limit, error, words in ((2000, JobError, late),
                                (0, JobTimeout, r"no job has finished in 9000 cycles \(front stage: ")):
        with transport(QUAD, patience=0) as port:
            port.trouble(hold_r=True)
            driver = Driver(QUAD, port, job_limit=limit)
            with pytest.raises(error, match=words + ".*unanswered: reads of a descriptor") as caught:
                list(driver.run_layers(plan, cycle_limit=9000))
            assert "\n" not in str(caught.value)
            if error is JobTimeout:
                assert caught.value.__notes__ == ["it was layer 0"]
