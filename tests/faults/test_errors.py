"""Memory errors: the n-th access of every class fails, the code says which, neighbours in the queue are right."""

import pytest

from spatten_hw.host.driver import Driver
from spatten_hw.interface.errors import ErrorCode
from spatten_hw.sim.harness.memories import DECERR, SLVERR

from ..integration.builds import QUAD, transport
from .jobs import READS, WRITES, Solo, assert_right, finish, watch

LIMIT = 50_000


def three(config, queries):
    """A good job, the one that will fail, and another good one, apart in memory."""
    first = Solo(config, 1, queries=queries)
    middle = Solo(config, 2, first.end, queries=queries, dim=16)
    return first, middle, Solo(config, 3, middle.end, queries=None if queries else 1)


def accesses(port, driver, job):
    """Read beats, or write bursts, of every class in a run without errors."""
    watch(port, job)
    bursts = port.traffic().write_bursts
    job.submit(driver, 0)
    assert finish(driver, 1, LIMIT) == [(0, 0)]
    assert_right(driver, [job])
    moved = port.class_bytes()
    assert moved[""] == (0, 0)
    counts = {name: moved[name][0] // job.config.beat_bytes for name in READS}
    assert all(counts.values()), f"a class is not read: {counts}"
    # An output row is one burst: it fills a granule.
    rows = int(job.expected.written.sum())
    counts |= {"out": rows, "state_out": port.traffic().write_bursts - bursts - rows}
    assert moved["out"][1] and moved["state_out"][1]
    return counts


@pytest.mark.parametrize("queries", [None, 1], ids=["prompt", "generation"])
@pytest.mark.parametrize("hostile", [False, True], ids=["fast", "hostile"])
def test_nth_access_of_every_class_fails(queries, hostile):
    jobs = three(QUAD, queries)
    bad = jobs[1]
    with transport(QUAD, hostile=hostile) as port:
        driver = Driver(QUAD, port)
        counts = accesses(port, driver, bad)
        case, failed = 0, set()
        for name, code in {**READS, **WRITES}.items():
            last = counts[name] - 1
            for n in sorted({0, 1, last // 2, last} & set(range(last + 1))):
                case += 1
                # The hostile run takes every other case, of each class one: what differs is the order of things.
                if hostile and name in failed and case % 2:
                    continue
                failed.add(name)
                response = DECERR if case % 3 == 0 else SLVERR
                port.inject_class_error(name, n, write=name in WRITES, response=response)
                for tag, job in enumerate(jobs):
                    job.submit(driver, 8 * case + tag)
                got = finish(driver, 3, LIMIT)
                port.clear_errors()
                where = f"access {n} of {last + 1} of {name}"
                assert [tag for tag, _ in got] == [8 * case, 8 * case + 1, 8 * case + 2], where
                codes = [ErrorCode(error) for _, error in got]
                assert codes == [ErrorCode.OK, code, ErrorCode.OK], where
                assert not jobs[0].differences(driver), f"{where}: job before"
                assert not jobs[2].differences(driver), f"{where}: job behind"
        assert failed == {*READS, *WRITES}
        # What failed last time is right this time.
        bad.submit(driver, 1)
        assert finish(driver, 1, LIMIT) == [(1, 0)]
        assert_right(driver, [bad])


def test_every_access_fails():
    """A memory that answers nothing but errors: no hang, a code of reading, and behind it a job that is right."""
    job = Solo(QUAD, 4)
    with transport(QUAD, hostile=True) as port:
        driver = Driver(QUAD, port)
        for channel in range(QUAD.channels):
            port.inject_read_error(channel, span=(0, 1 << QUAD.axi_addr_bits), response=DECERR)
            port.inject_write_error(channel, span=(0, 1 << QUAD.axi_addr_bits))
        job.submit(driver, 1)
        job.submit(driver, 2)
        assert finish(driver, 2, LIMIT) == [(1, ErrorCode.READ_DESCRIPTOR), (2, ErrorCode.READ_DESCRIPTOR)]
        port.clear_errors()
        job.submit(driver, 3)
        assert finish(driver, 1, LIMIT) == [(3, 0)]
        assert_right(driver, [job])
