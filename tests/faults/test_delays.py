"""Memories that are late, answer in the worst order, or take no writes: slower, never different."""

import pytest

from spatten_hw.host.driver import Driver

from ..integration.builds import QUAD, transport
from .jobs import Solo, assert_right, finish, watch

LIMIT = 1_000_000
#: Cycles for which writes are held.
HOLD = 4000


def queue(config, count=3, **options):
    """Prompts and generation steps in turn, apart in memory."""
    jobs, base = [], 0
    for n in range(count):
        jobs.append(Solo(config, 10 + n, base, queries=n % 2 or None, **options))
        base = jobs[-1].end
    return jobs


def run(port, jobs):
    """Queues the jobs; returns the cycles until all are done and right."""
    driver = Driver(port.config, port)
    start = port.cycles
    for tag, job in enumerate(jobs):
        job.submit(driver, tag)
    assert finish(driver, len(jobs), LIMIT) == [(tag, 0) for tag in range(len(jobs))]
    assert_right(driver, jobs)
    return port.cycles - start


@pytest.mark.parametrize("channel", range(QUAD.channels))
def test_one_channel_is_late_by_thousands_of_cycles(channel):
    jobs = queue(QUAD)
    with transport(QUAD) as port:
        usual = run(port, jobs)
        port.trouble(channel, extra=2500)
        late = run(port, jobs)
        assert late > usual + 3 * 2500, "the option does nothing"
        port.trouble()
        assert run(port, jobs) < usual + 1000


@pytest.mark.parametrize("max_reads", [0, 3])
def test_answers_in_the_worst_order(max_reads):
    """Nothing comes before the accelerator has asked for all it can, then the newest first."""
    jobs = queue(QUAD)
    with transport(QUAD, latency=1, max_reads=max_reads) as port:
        usual = run(port, jobs)
        port.trouble(newest=50)
        assert run(port, jobs) > 1.5 * usual, "the option does nothing"


@pytest.mark.parametrize("held", ["hold_aw", "hold_w", "hold_b"])
@pytest.mark.parametrize("queries", [None, 1], ids=["prompt", "generation"])
def test_writes_stand_still_and_reads_go_on(held, queries):
    """All that the job reads arrives while no write passes; the job ends only when they all have been answered."""
    job = Solo(QUAD, 20, queries=queries)
    after = Solo(QUAD, 21, job.end)
    with transport(QUAD) as port:
        driver = Driver(QUAD, port)
        watch(port, job)
        job.submit(driver, 1)
        assert finish(driver, 1, LIMIT) == [(1, 0)]
        usual = port.class_bytes()

        watch(port, job)
        port.trouble(**{held: True})
        job.submit(driver, 2)
        after.submit(driver, 3)
        assert not port.wait_irq(HOLD), "a job ended although its writes are not answered"
        moved = port.class_bytes()
        reads = {name: (moved[name][0], usual[name][0]) for name in usual if usual[name][0]}
        assert reads
        if held == "hold_b" or queries:
            assert all(now == all_ for now, all_ in reads.values()), reads
        else:
            # A prompt's outputs do not fit the write buffers; what does not depend on them has been read.
            assert all(reads[name][0] == reads[name][1] for name in ("k_msb", "v_msb", "state_in")), reads
        port.trouble()
        assert finish(driver, 2, LIMIT) == [(2, 0), (3, 0)]
        assert_right(driver, [job, after])
        assert port.class_bytes()["out"] == usual["out"]


@pytest.mark.parametrize("held", ["hold_ar", "hold_r"])
def test_one_channel_reads_nothing_for_a_while(held):
    """The same for reads: the others cannot finish the job, but what they have read is not lost."""
    job = Solo(QUAD, 22)
    with transport(QUAD) as port:
        driver = Driver(QUAD, port)
        port.trouble(1, **{held: True})
        job.submit(driver, 1)
        assert not port.wait_irq(HOLD)
        port.trouble()
        assert finish(driver, 1, LIMIT) == [(1, 0)]
        assert_right(driver, [job])
