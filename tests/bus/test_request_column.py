"""One channel's requests: round robin among those that ask, the patient ones only when nobody else does."""

import cocotb

from spatten_hw.bus.crossbar_ports import RequestColumn, request_layout
from spatten_hw.sim.testbench import Bench, pack
from spatten_hw.sim.testbench.runner import run_bench

from .test_read_crossbar import BASE

REQUESTERS, PATIENT = 4, 0b1100


@cocotb.test()
async def patient_requesters_wait(dut):
    bench = Bench(dut, [], ["ar"])
    await bench.start()
    layout = request_layout(BASE)
    dut.payloads.value = sum(pack(layout, {"addr": 0, "beats": 1, "burst": 0}) << n * layout.size
                             for n in range(REQUESTERS))
    bench.receive("ar", stall=0.3)
    served, seen = [0] * REQUESTERS, []
    for _ in range(600):
        requests = bench.rng.randrange(1 << REQUESTERS)
        dut.requests.value = requests
        await bench.step(lambda: seen.append(int(dut.taken.value)))
        taken = seen.pop()
        assert taken & (taken - 1) == 0 and not taken & ~requests
        if requests & ~PATIENT:
            assert not taken & PATIENT, f"requests {requests:04b}, taken {taken:04b}"
        for n in range(REQUESTERS):
            served[n] += taken >> n & 1
    assert all(served)


def test_request_column():
    run_bench(RequestColumn(BASE, REQUESTERS, PATIENT), __name__)
