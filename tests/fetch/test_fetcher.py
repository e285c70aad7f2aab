"""The whole fetcher: every kind of command at once, disorder, errors by class, rates, beat counters."""

import itertools

import cocotb
import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.sim.golden.fetch import row_beats
from spatten_hw.sim.testbench.runner import params, run_bench

from .fetch_bench import SIZE, FetchBench, FetcherWithLists
from .rows import TINY, elements, msb_row


def random_ids(rng, c, dense):
    count = rng.randint(1, c.max_tokens)
    return list(range(count)) if dense else sorted(rng.sample(range(c.max_tokens), count))


class Traffic:
    """Random commands of every class and what they must give."""

    def __init__(self, fb: FetchBench, commands: int):
        self.fb = fb
        c, rng, job = fb.c, fb.rng, fb.job
        heads = range(min(4, c.max_heads))
        self.send: dict[str, list[int]] = {n: [] for n in ("k_cmd", "v_cmd", "v_kept", "q_cmd", "desc_cmd",
                                                           "state_cmd")}
        self.k: list[tuple] = []
        self.fills: list[tuple] = []
        self.kept: list[tuple] = []
        self.q: list[tuple] = []
        self.words: dict[str, list[int]] = {"desc": [], "state": []}
        self.beats = dict.fromkeys(fb.beats, 0)
        for _ in range(commands):
            head, half = rng.choice(heads), rng.getrandbits(1)
            rows = rng.randint(1, len(fb.ids))
            lsb = int(job["k_lsb"] > 0 and rng.random() < 0.4)
            fill = 0 if lsb else rng.getrandbits(1)
            ids = fb.ids[:rows]
            both = int(job["pair"] and not lsb and not fill and head % 2 == 0 and head + 1 in heads)
            self.send["k_cmd"].append(fb.k_cmd(head, rows, lsb, fill, half, both))
            groups = fb.groups([fb.k_row(head, t, lsb) for t in ids], fill, half)
            if both:     # each group is followed by the other head's; only the very last one ends the command
                others = fb.groups([fb.k_row(head + 1, t, lsb) for t in ids], fill, half)
                groups = [x for (r, _, *where), other in zip(groups, others, strict=True)
                          for x in ((r, 0, *where), other)]
            self.k += groups
            plane = "k_lsb" if lsb else "k_msb"
            self.beats[f"beats_{plane}"] += fb.plane_beats(plane, head, ids, both)
            self._value(head, half)
            self._query(head)
            self._words()

    def _value(self, head, half):
        fb, rng = self.fb, self.fb.rng
        if rng.random() < 0.4:
            rows = rng.randint(1, len(fb.ids))
            ids = fb.ids[:rows]
            self.send["v_cmd"].append(fb.v_cmd(head, rows, half))
            self.fills += fb.groups([fb.v_row(head, t, 0) for t in ids], 1, half)
            self.beats["beats_v_msb"] += fb.plane_beats("v_msb", head, ids)
            return
        refetched = rng.getrandbits(1)
        ids = sorted(rng.sample(fb.ids, rng.randint(1, len(fb.ids))))
        self.send["v_kept"] += fb.kept_rows(head, ids, refetched)
        self.kept += fb.groups([fb.v_row(head, t, refetched) for t in ids], 0, 0, fb.c.topk_lanes)
        self.beats["beats_v_msb"] += fb.plane_beats("v_msb", head, ids)
        if refetched and fb.job["v_lsb"]:
            self.beats["beats_v_lsb"] += fb.plane_beats("v_lsb", head, ids)

    def _query(self, head):
        fb, rng, job = self.fb, self.fb.rng, self.fb.job
        for _ in range(3):
            token, slot = rng.randrange(fb.c.max_tokens), rng.randrange(fb.c.slots)
            self.send["q_cmd"].append(fb.q_cmd(head, token, slot))
            self.q.append((msb_row(fb.data, fb.addr("q", head, token), job["dim"], job["q_bits"]), slot))
            self.beats["beats_q"] += fb.plane_beats("q", head, [token])

    def _words(self):
        fb, rng = self.fb, self.fb.rng
        for name, expected in self.words.items():
            words = rng.randint(1, 20)
            addr = 8 * rng.randrange(SIZE // 8 - words)
            self.send[f"{name}_cmd"].append(fb.aux_cmd(addr, words))
            for k in range(words):
                word = int.from_bytes(fb.data[addr + 8 * k:addr + 8 * k + 8], "little")
                expected.append(word | (k == words - 1) << 64)
            self.beats["beats_other"] += int(row_beats(addr, 8 * words, fb.c))

    async def run(self, source=0.0, sink=0.0):
        bench = self.fb.bench
        for name, items in self.send.items():
            bench.send(name, items, stall=source)
        names = ("k_rows", "v_rows", "q_rows", "desc_words", "state_words")
        self.got = {n: bench.receive(n, stall=sink) for n in names}
        wanted = {"k_rows": len(self.k), "v_rows": len(self.fills) + len(self.kept), "q_rows": len(self.q),
                  "desc_words": len(self.words["desc"]), "state_words": len(self.words["state"])}
        await self.fb.run(lambda: all(len(self.got[n].items) >= wanted[n] for n in names), 60000)
        await self.fb.settle()
        assert {n: len(self.got[n].items) for n in names} == wanted

    def check(self):
        fb = self.fb
        assert [fb.unpack_group(b) for b in self.got["k_rows"].items] == self.k
        values = [fb.unpack_group(b) for b in self.got["v_rows"].items]
        assert [v for v in values if v[2]] == self.fills
        assert [v[:3] for v in values if not v[2]] == [v[:3] for v in self.kept]
        for before, after in itertools.pairwise(values):
            assert before[1] or before[2] == after[2], "a vector was interrupted"
        width = fb.c.max_dim * fb.c.operand_bits
        q = [(elements(b, fb.job["dim"], fb.c.operand_bits), b >> width) for b in self.got["q_rows"].items]
        assert q == self.q
        for name, expected in self.words.items():
            assert [w & ((1 << 65) - 1) for w in self.got[f"{name}_words"].items] == expected


async def session(dut, *, source=0.0, sink=0.0, rounds=3, commands=5, **memory):
    c = SpAttenConfig(**params()["config"])
    fb = FetchBench(dut, c)
    await fb.start(**memory)
    beats = dict.fromkeys(fb.beats, 0)
    for n in range(rounds):
        await fb.set_job(c.dims[n % len(c.dims)])
        await fb.set_list(random_ids(fb.rng, c, dense=n == 0))
        traffic = Traffic(fb, commands)
        await traffic.run(source, sink)
        traffic.check()
        beats = {k: beats[k] + traffic.beats[k] for k in beats}
    assert fb.beats == beats
    assert sum(beats.values()) == fb.memory.read_beats
    assert int(dut.errors.value) == 0
    assert int(dut.busy.value) == 0


@cocotb.test()
async def queries_of_many_heads_wait(dut):
    """More than the queues hold, each of another head than the one before, while rows are hardly taken."""
    c = SpAttenConfig(**params()["config"])
    fb = FetchBench(dut, c)
    await fb.start(latency=(20, 40))
    await fb.set_job(c.dims[0])
    await fb.set_list(random_ids(fb.rng, c, dense=True))
    traffic = Traffic(fb, 0)
    for n in range(40):
        traffic._query(n % min(4, c.max_heads))
    # Three of a head: dealt out so that neighbours differ.
    order = sorted(range(len(traffic.q)), key=lambda n: (n % 3, n))
    traffic.q = [traffic.q[n] for n in order]
    traffic.send["q_cmd"] = [traffic.send["q_cmd"][n] for n in order]
    await traffic.run(sink=0.9)
    traffic.check()


@cocotb.test()
async def one_port_alone_waits_for_memory(dut):
    """`waits` of K while a single row is asked for: of one port, whatever the others do."""
    c = SpAttenConfig(**params()["config"])
    fb = FetchBench(dut, c)
    await fb.start(latency=(30, 30))
    await fb.set_job(c.dims[0], progressive=False)
    await fb.set_list([0])
    fb.bench.send("k_cmd", [fb.k_cmd(0, 1, 0, 0, 0)])
    rows, seen = fb.bench.receive("k_rows"), []
    place = 1                                                # behind Q
    for _ in range(80):
        await fb.bench.step(lambda: (fb.watch(), seen.append(int(dut.waits.value) >> place & 1)))
    assert len(rows.items) == 1 and any(seen) and not seen[-1]


@cocotb.test()
async def everything_under_stalls_and_disorder(dut):
    await session(dut, source=0.2, sink=0.3, latency=(1, 40), stall=0.3)


@cocotb.test()
async def everything_from_a_fast_memory(dut):
    await session(dut, latency=(1, 5), rounds=4)


@cocotb.test()
async def errors_by_class(dut):
    """One class at a time meets errors; all data still comes, only that class is reported."""
    c = SpAttenConfig(**params()["config"])
    fb = FetchBench(dut, c)
    failing = [False]
    await fb.start(latency=(1, 10), stall=0.1, error=lambda addr: failing[0])
    await fb.set_job(c.dims[-1])
    await fb.set_list(random_ids(fb.rng, c, dense=False))
    streams = (("q_cmd",), ("k_cmd",), ("v_cmd", "v_kept"), ("desc_cmd",), ("state_cmd",))
    for bit, mine in enumerate(streams):
        for failing[0] in (True, False):
            traffic = Traffic(fb, 2)
            for name in traffic.send:
                if name not in mine:
                    traffic.send[name] = []
            traffic.k = traffic.k if bit == 1 else []
            traffic.q = traffic.q if bit == 0 else []
            traffic.fills, traffic.kept = (traffic.fills, traffic.kept) if bit == 2 else ([], [])
            traffic.words = {n: w if f"{n}_cmd" in mine else [] for n, w in traffic.words.items()}
            await traffic.run(sink=0.1)
            traffic.check()
            assert int(dut.errors.value) == (1 << bit if failing[0] else 0)
            flags = [w >> 65 for n in traffic.words for w in traffic.got[f"{n}_words"].items]
            assert flags == [int(failing[0])] * len(flags)
            own, other = (dut.back_clear, dut.front_clear) if bit == 2 else (dut.front_clear, dut.back_clear)
            other.value = 1
            await fb.bench.step(fb.watch)
            other.value = 0
            assert int(dut.errors.value) == (1 << bit if failing[0] else 0), "cleared with another stage"
            own.value = 1
            await fb.bench.step(fb.watch)
            own.value = 0


@cocotb.test()
async def a_command_without_rows(dut):
    c = SpAttenConfig(**params()["config"])
    fb = FetchBench(dut, c)
    await fb.start()
    await fb.set_job(c.dims[0])
    await fb.set_list([0])
    fb.bench.send("k_cmd", [fb.k_cmd(0, 0, 0, 0, 0), fb.k_cmd(0, 1, 0, 0, 0)])
    out = fb.bench.receive("k_rows")
    await fb.run(lambda: len(out.items) == 2, 500)
    assert [fb.unpack_group(b) for b in out.items] == [([], 1, 0, 0), ([fb.k_row(0, 0, 0)], 1, 0, 0)]


@cocotb.test()
async def dense_keys_at_full_rate(dut):
    """R rows per cycle, or the channels' or the ports' rate, whichever is lower, within 5 %."""
    c = SpAttenConfig(**params()["config"])
    fb = FetchBench(dut, c)
    await fb.start(reorder=False)
    for dim in c.dims:
        await fb.set_job(dim, progressive=False, dense=True)
        ids = list(range(c.max_tokens))
        await fb.set_list(ids)
        commands = 20
        fb.bench.send("k_cmd", [fb.k_cmd(0, len(ids), 0, 0, 0)] * commands)
        out = fb.bench.receive("k_rows")
        per_command = -(-len(ids) // c.rows_per_cycle(dim))
        await fb.run(lambda n=per_command * commands, o=out: len(o.items) >= n, 20000)
        await fb.settle()
        want = fb.groups([fb.k_row(0, t, 0) for t in ids], 0, 0) * commands
        assert [fb.unpack_group(b) for b in out.items] == want
        cycles = out.cycles[-1] - out.cycles[per_command - 1]
        beats = fb.plane_beats("k_msb", 0, ids) * (commands - 1)
        least = max(per_command * (commands - 1), beats / c.channels, beats / c.k_ports)
        fb.bench.dut._log.info(f"RATE D={dim}: {cycles} cycles, bound {least}")
        assert cycles <= least * 1.05 + 2, (dim, cycles, least)


#: Configuration, and whether its ports have enough bursts outstanding for the rate test. Small on purpose: the
#: compiler's time, not the simulation's, is what these tests cost.
CASES = {
    "two channels": (TINY.replace(ids_per_port=16, k_ports=2), True),
    "four wide channels, one D": (TINY.replace(multipliers=32, min_dim=16, channels=4, axi_data_bits=128,
                                               interleave_bytes=32, k_ports=2, v_ports=4, ids_per_port=8), True),
    "one lane, 32 bits": (TINY.replace(multipliers=16, min_dim=16, channels=1, axi_data_bits=32, interleave_bytes=16,
                                       k_ports=1, v_ports=1, topk_lanes=1, operand_bits=16), False),
    "three D, few ids": (TINY.replace(min_dim=4, axi_data_bits=64, interleave_bytes=8, channels=4, k_ports=4,
                                      v_ports=4, ids_per_port=2, max_tokens=32, operand_bits=10), False),
}


@pytest.mark.parametrize("case", CASES)
def test_fetcher(case):
    config, rate = CASES[case]
    run_bench(FetcherWithLists(config), __name__, without=None if rate else "dense_keys_at_full_rate",
              params={"config": config.fields})
