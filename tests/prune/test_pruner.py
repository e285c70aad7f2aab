"""Pruner against the golden Cascade: random cascades, saved state, illegal state, rates."""

import cocotb
import numpy as np
import pytest
from cocotb.triggers import RisingEdge

from sim.golden.cascade import Cascade, CascadeError
from sim.golden.token_importance import token_importance
from sim.testbench import Bench
from sim.testbench.runner import params, run_bench
from spatten_hw.prune.cascade import FINISH_CYCLES, PREPARE_CYCLES
from spatten_hw.prune.pruner import LISTS, Pruner
from spatten_hw.prune.rows import layer_sum_bits
from spatten_hw.stream.layouts import aux_command, head_sum, out_beat, prob_row

from .builds import JOB, pack_job, tiny

STREAMS_IN = ["op", "probs", "head_sums", "state_words"]
STREAMS_OUT = ["done", "state_cmd", "state"]


def _field(layout, bits, name):
    f = layout[name]
    return (bits >> f.offset) & ((1 << f.width) - 1)


class Rig:
    """The pruner, its golden twin, and a memory behind `state_cmd`, `state_words` and `state`."""

    def __init__(self, dut, stall=0.3):
        self.dut, self.stall = dut, stall
        self.c = tiny(**params())
        self.bench = Bench(dut, STREAMS_IN, STREAMS_OUT)
        self.rng = self.bench.rng
        self.golden = Cascade(self.c)
        self.memory: dict[int, int] = {}
        self.bad_words: set[int] = set()
        self.job = dict(JOB)
        self.late = None       # head sums that may still come after FINISH

    async def start(self):
        self.dut.job.value = 0
        self.dut.drained.value = 1
        for name in LISTS:
            getattr(self.dut, f"{name}_list_row").value = 0
        await self.bench.start()
        cocotb.start_soon(self.tell_drained())
        self.streams()

    async def tell_drained(self):
        """Says whether the last head sum has come."""
        while True:
            await RisingEdge(self.dut.clk)
            self.dut.drained.value = int(self.late is None or self.late.at == len(self.late.items))

    def streams(self):
        b, s = self.bench, self.stall
        self.late = None
        b.send("state_words", [], s)
        self.commands = b.receive("state_cmd", s)
        self.stored = b.receive("state", s)
        self.done = b.receive("done", s)
        self.served = 0

    def serve(self):
        """Answers read commands, one word each cycle at most."""
        layout = aux_command(self.c)
        for bits in self.commands.items[self.served:]:
            addr, words = _field(layout, bits, "addr"), _field(layout, bits, "words")
            assert addr % 8 == 0 and 1 <= words <= self.c.max_tokens
            for i in range(words):
                a = addr + 8 * i
                word = sum(self.memory.get(a + k, 0xEE) << (8 * k) for k in range(8))
                word |= (i == words - 1) << 64 | (a in self.bad_words) << 65
                self.bench.sources["state_words"].items.append(word)
            self.served += 1

    def poke(self, addr, words):
        for i, w in enumerate(words):
            for k in range(8):
                self.memory[addr + 8 * i + k] = int(w) >> (8 * k) & 255

    async def op(self, finish, limit=4000):
        """Runs one op; returns (error, cycles from its acceptance to done)."""
        b = self.bench
        self.done = b.receive("done", self.stall)
        sent = b.send("op", [finish], self.stall)
        await b.run(lambda: bool(self.done.items), limit, watch=self.serve)
        return self.done.items[0], self.done.cycles[0] - sent.cycles[0]

    async def prepare(self, **job):
        """PREPARE in both; state is loaded from `memory`. Returns (error, cycles)."""
        self.job = JOB | {"keep_tokens": self.c.max_tokens, "keep_heads": self.c.max_heads} | job
        self.dut.job.value = pack_job(self.c, self.job)
        wrong = False
        try:
            self.golden.prepare(self.job, self.words(self.job["ids_in"]), self.words(self.job["scores_in"]))
        except CascadeError:
            wrong = True
        error, cycles = await self.op(0)
        asked = self.bench.sources["state_words"]
        assert asked.at == len(asked.items), "words left over"
        assert error == wrong, self.job
        await self.check()
        return error, cycles

    def words(self, addr):
        count = self.c.max_tokens + self.c.max_heads + 1
        return [sum(self.memory.get(addr + 8 * i + k, 0xEE) << (8 * k) for k in range(8)) for i in range(count)]

    async def check(self):
        """Counts, bitmap and the lists through all four readers."""
        c, d, g = self.c, self.dut, self.golden
        alive = [int(x) for x in g.tokens_alive]
        assert int(d.alive_tokens.value) == len(alive)
        assert int(d.alive_heads.value) == len(g.heads_alive)
        assert int(d.heads_alive.value) == sum(1 << int(h) for h in g.heads_alive)
        rows = -(-len(alive) // c.lanes)
        got: dict[str, list[int]] = {name: [] for name in LISTS}
        order = {name: self.rng.sample(range(rows), rows) for name in LISTS}
        for i in range(rows + 1):
            for name in LISTS:
                if i:
                    got[name].append(int(getattr(d, f"{name}_list_ids").value))
                if i < rows:
                    getattr(d, f"{name}_list_row").value = order[name][i]
            await self.bench.step()
        for name in LISTS:
            for row, bits in zip(order[name], got[name], strict=True):
                want = alive[row * c.lanes:(row + 1) * c.lanes]
                ids = [(bits >> (i * c.token_bits)) & ((1 << c.token_bits) - 1) for i in range(len(want))]
                assert ids == want, (name, row)

    def prob_rows(self, vector):
        c, layout = self.c, prob_row(self.c)
        rows = []
        for at in range(0, len(vector), c.lanes):
            part = list(vector[at:at + c.lanes])
            last = at + c.lanes >= len(vector)
            bits = sum(int(p) << (12 * i) for i, p in enumerate(part))
            for i in range(len(part), c.lanes):
                bits |= self.rng.getrandbits(12) << (12 * i)
            bits = bits << layout["probs"].offset | len(part) << layout["count"].offset
            rows.append(bits | int(last) << layout["last"].offset)
        return rows

    async def layer(self, vectors, causal=False, small=False):
        """Random vectors and head sums through both, up to FINISH; stores are compared. → FINISH cycles."""
        b, c, rng, g = self.bench, self.c, self.rng, self.golden
        n = len(g.tokens_alive)
        probs = np.zeros((vectors, n), dtype=np.int64)
        rows = []
        for v in range(vectors):
            length = rng.randint(1, n) if causal else n
            probs[v, :length] = [rng.randrange(3 if small else 4096) for _ in range(length)]
            rows += self.prob_rows(probs[v, :length])
        if self.late is not None:
            await b.run(lambda: self.late.at == len(self.late.items), 2000, watch=self.serve)
            self.late = None
        layout = head_sum(c)
        head_sums = np.zeros(c.max_heads, dtype=np.int64)
        sums = []
        for _ in range(rng.randint(0, 60)):
            h = int(rng.choice(g.heads_alive))
            s = rng.randrange(3) if small else rng.getrandbits(layout["sum"].width)
            head_sums[h] += s
            sums.append(h << layout["kv_head"].offset | s << layout["sum"].offset)
        late = self.stall > 0 and rng.random() < 0.5
        sent, added = b.send("probs", rows, self.stall), b.send("head_sums", sums, 0.9 if late else self.stall)
        if late:
            self.late = added
            await b.step()     # `drained` says so before FINISH
        await b.run(lambda: sent.at == len(rows) and (late or added.at == len(sums)),
                    100 + 8 * (len(rows) + len(sums)))
        if self.stall == 0:
            for source in (sent, added):
                cycles = source.cycles or [0]
                assert cycles[-1] - cycles[0] == max(0, len(source.items) - 1), "not one per cycle"
            await b.run(lambda: int(self.dut.idle.value) == 1, 5)
        g.finish(token_importance(probs), head_sums)
        return await self.finish()

    async def finish(self):
        self.stored = self.bench.receive("state", self.stall)
        error, cycles = await self.op(1)
        assert error == 0
        beats = list(self.stored.items)
        job = self.job
        if job["store_ids"]:
            beats = self.section(beats, job["ids_out"], self.golden.save_ids())
        if job["store_scores"]:
            beats = self.section(beats, job["scores_out"], self.golden.save_scores(job["tokens"], job["heads"]))
        assert not beats
        return cycles

    def section(self, beats, addr, words):
        """Checks one stored section against `words`, writes it to memory, returns the beats after it."""
        c, layout = self.c, out_beat(self.c)
        size = 8 * len(words)
        count = -(-size // c.beat_bytes)
        image = {}
        for i, bits in enumerate(beats[:count]):
            assert _field(layout, bits, "kind") == 1
            assert _field(layout, bits, "last") == (i == count - 1)
            assert _field(layout, bits, "addr") == addr + i * c.beat_bytes
            data, strobe = _field(layout, bits, "data"), _field(layout, bits, "strobe")
            for k in range(c.beat_bytes):
                if strobe >> k & 1:
                    image[addr + i * c.beat_bytes + k] = data >> (8 * k) & 255
        want = {addr + i: (int(words[i // 8]) >> (8 * (i % 8))) & 255 for i in range(size)}
        assert image == want
        self.memory.update(image)
        return beats[count:]


def _keeps(rng, alive, limit):
    return rng.choice([rng.randint(1, max(1, alive)), max(1, alive - rng.randint(0, 3)), alive, limit])


@cocotb.test()
async def random_cascades(dut):
    for stall in (0.3, 0.0):
        rig = Rig(dut, stall)
        c, rng = rig.c, rig.rng
        await rig.start()
        for sequence in range(8):
            tokens, heads = rng.randint(1, c.max_tokens), rng.randint(1, c.max_heads)
            clear = int(sequence == 0 or rng.random() < 0.5)
            for layer in range(rng.randint(1, 5)):
                await rig.prepare(
                    tokens=tokens, heads=heads, restart=int(layer == 0), clear_scores=int(layer == 0 and clear),
                    keep_tokens=_keeps(rng, len(rig.golden.tokens_alive) if layer else tokens, c.max_tokens),
                    keep_heads=_keeps(rng, len(rig.golden.heads_alive) if layer else heads, c.max_heads),
                    protect_first=rng.choice([0, 0, 1, 3, c.max_tokens]),
                    protect_last=rng.choice([0, 0, 1, 2, c.max_tokens]),
                    store_ids=rng.randint(0, 1), store_scores=rng.randint(0, 1),
                    ids_out=0x1000, scores_out=0x2000)
                await rig.layer(rng.randint(0, 6), causal=rng.random() < 0.3, small=rng.random() < 0.5)


@cocotb.test()
async def two_sequences_by_save_and_load(dut):
    """Interleaved layer by layer through memory, equal to running each alone."""
    rig = Rig(dut)
    c = rig.c
    await rig.start()
    shapes = [(c.max_tokens, c.max_heads), (c.max_tokens // 2 + 1, 1)]
    alone = [Cascade(c), Cascade(c)]
    for layer in range(4):
        for s, (tokens, heads) in enumerate(shapes):
            base = 0x1000 * (s + 1)
            rig.golden = alone[s]
            await rig.prepare(
                tokens=tokens, heads=heads, restart=int(layer == 0), clear_scores=int(layer == 0),
                load_ids=int(layer > 0), load_scores=int(layer > 0), store_ids=1, store_scores=1,
                ids_in=base, ids_out=base, scores_in=base + 0x800, scores_out=base + 0x800,
                keep_tokens=max(1, tokens - 3 * layer), keep_heads=max(1, heads - layer), protect_first=1)
            await rig.layer(3)


@cocotb.test()
async def generation_grows_without_clearing(dut):
    """A step with one more token finds that token's total 0, also after a longer sequence was there."""
    rig = Rig(dut)
    c = rig.c
    await rig.start()
    await rig.prepare(tokens=c.max_tokens, heads=c.max_heads, restart=1, clear_scores=1)
    await rig.layer(2)
    rig.poke(0x3000, [7] * (c.max_tokens + c.max_heads))
    for step in range(5):
        tokens = c.max_tokens // 2 - 2 + step
        await rig.prepare(tokens=tokens, heads=1 + min(step, c.max_heads - 1), restart=1,
                          load_scores=int(step == 0), scores_in=0x3000, store_scores=1, scores_out=0x2000,
                          keep_tokens=tokens - 1, protect_last=1)
        await rig.layer(1)


@cocotb.test()
async def totals_saturate(dut):
    rig = Rig(dut)
    c, g = rig.c, rig.golden
    await rig.start()
    near = [g.token_max - rig.rng.choice([0, 1, 5000, 1 << 13]) for _ in range(c.max_tokens)]
    near[:2] = [(1 << 64) - 1, g.token_max + 1]
    near += [g.head_max - rig.rng.choice([0, 1, 1 << 17]) for _ in range(c.max_heads)]
    near[-1] = min((1 << 64) - 1, g.head_max + 1)
    rig.poke(0x3000, near)
    await rig.prepare(tokens=c.max_tokens, heads=c.max_heads, restart=1, load_scores=1, scores_in=0x3000,
                      store_scores=1, scores_out=0x2000)
    await rig.layer(4)
    await rig.prepare(tokens=c.max_tokens, heads=c.max_heads, keep_tokens=5, keep_heads=1)


@cocotb.test()
async def layer_sums_hold_the_largest_layer(dut):
    """max_tokens queries of max_heads heads, all probabilities at their maximum: nothing wraps."""
    rig = Rig(dut, 0.0)
    c = rig.c
    assert 4095 * c.max_tokens * c.max_heads < 1 << layer_sum_bits(c)
    await rig.start()
    await rig.prepare(tokens=c.lanes, heads=1, restart=1, clear_scores=1, store_scores=1, scores_out=0x2000)
    vectors = c.max_tokens * c.max_heads
    sent = rig.bench.send("probs", rig.prob_rows([4095] * c.lanes) * vectors)
    await rig.bench.run(lambda: sent.at == vectors, vectors + 50)
    assert sent.cycles[-1] - sent.cycles[0] == vectors - 1, "the same row every cycle"
    rig.golden.finish(np.full(c.lanes, 4095 * vectors), np.zeros(1))
    await rig.finish()


@cocotb.test()
async def illegal_state_is_an_error(dut):
    rig = Rig(dut)
    c, rng = rig.c, rig.rng
    if c.max_heads < 3:
        return
    await rig.start()
    job = {"tokens": 11, "heads": 3, "load_ids": 1, "ids_in": 0x1000, "clear_scores": 1}
    good = [4 | 2 << 32, 0, 3, 7, 10, 1, 2]
    bad = [
        [0 | 2 << 32, *good[1:]], [12 | 2 << 32, *range(12), 0, 1], [4, *good[1:]], [4 | 4 << 32, *good[1:], 3, 4],
        [4 | 2 << 32 | 1 << 63, *good[1:]], [4 | 2 << 32 | 1 << 31, *good[1:]], [*good[:2], 0, *good[3:]],
        [*good[:3], 2, *good[4:]], [*good[:4], 11, 1, 2], [*good[:4], 10 | 1 << 40, 1, 2], [*good[:5], 2, 1],
        [*good[:5], 1, 1], [*good[:5], 1, 3], [*good[:5], 0, 1 << 63],
    ]
    assert (await rig.prepare(tokens=5, heads=1))[0] == 1, "continue after reset"
    for words in bad:
        rig.poke(0x1000, words)
        assert (await rig.prepare(**job))[0] == 1, words
        if rng.random() < 0.5:
            assert (await rig.prepare(tokens=11, heads=3))[0] == 1, "continue after an error"
        rig.poke(0x1000, good)
        assert (await rig.prepare(**job))[0] == 0
        await rig.layer(1)
    # A continued cascade that does not fit the job.
    for tokens, heads, wrong in ((11, 3, 0), (10, 3, 1), (11, 2, 1)):
        await rig.prepare(**job)
        assert (await rig.prepare(tokens=tokens, heads=heads))[0] == wrong
    # AXI errors: header, id, head, token total, head total.
    for which, addr in (("ids", 0), ("ids", 2), ("ids", 6), ("scores", 0), ("scores", 13)):
        rig.poke(0x2000, [5] * 14)
        rig.bad_words = {(0x1000 if which == "ids" else 0x2000) + 8 * addr}
        rig.job = JOB | job | {"load_scores": 1, "scores_in": 0x2000, "keep_tokens": 3, "keep_heads": 3}
        dut.job.value = pack_job(c, rig.job)
        assert (await rig.op(0))[0] == 1
        rig.golden.forget()
        await rig.check()
        rig.bad_words = set()
        assert (await rig.prepare(**job))[0] == 0
        await rig.layer(1)


@cocotb.test()
async def reset_in_the_middle_leaks_nothing(dut):
    rig = Rig(dut)
    c, rng = rig.c, rig.rng
    await rig.start()
    for _ in range(12):
        await rig.prepare(tokens=c.max_tokens, heads=c.max_heads, restart=1, clear_scores=1)
        await rig.layer(1)
        # Cut: in the vectors, in PREPARE with pruning, or in FINISH with stores.
        b = rig.bench
        b.send("probs", rig.prob_rows([4095] * c.max_tokens) * 2)
        b.send("head_sums", [(1 << head_sum(c)["sum"].width) - 1 << head_sum(c)["sum"].offset] * 9)
        await b.idle(rng.randint(2, 2 * c.max_rows))
        finish = rng.randint(0, 1)
        rig.job = JOB | {"tokens": c.max_tokens, "heads": c.max_heads, "restart": 1, "keep_tokens": 4,
                         "keep_heads": 1, "store_ids": 1, "store_scores": 1}
        dut.job.value = pack_job(c, rig.job)
        b.send("probs", [])
        b.send("head_sums", [])
        b.inputs["probs"].valid.value = 0
        b.inputs["head_sums"].valid.value = 0
        b.send("op", [finish])
        await b.idle(rng.randint(1, 40))
        for name in STREAMS_IN:
            b.send(name, [])
            b.inputs[name].valid.value = 0
        await b.reset()
        rig.streams()
        rig.golden = Cascade(c)
        # The next job sees zeros, even one that clears nothing.
        tokens = rng.randint(1, c.max_tokens)
        await rig.prepare(tokens=tokens, heads=c.max_heads, restart=1, clear_scores=rng.randint(0, 1),
                          store_ids=1, store_scores=1, ids_out=0x1000, scores_out=0x2000)
        await rig.layer(2)


@cocotb.test()
async def cycles_are_as_stated(dut):
    rig = Rig(dut, 0.0)
    c = rig.c
    await rig.start()
    for tokens in (1, c.lanes, c.max_tokens - 1, c.max_tokens):
        rows = -(-tokens // c.lanes)
        _, cycles = await rig.prepare(tokens=tokens, heads=1, restart=1, clear_scores=1)
        assert cycles == PREPARE_CYCLES
        zeroing = rows + 1
        assert await rig.layer(2) == FINISH_CYCLES + zeroing + rows
        _, cycles = await rig.prepare(tokens=tokens, heads=1)
        assert cycles == PREPARE_CYCLES
        if tokens > 1:
            _, cycles = await rig.prepare(tokens=tokens, heads=1, keep_tokens=tokens // 2)
            dut._log.info(f"prune {tokens} to {tokens // 2}, L = {c.lanes}, P = {c.topk_lanes}: {cycles} cycles")
            assert cycles > PREPARE_CYCLES + rows
            before = rig.golden.tokens_alive
            merge = await rig.layer(1)
            cost = [np.bincount(before[a:a + c.lanes] % c.lanes).max() for a in range(0, len(before), c.lanes)]
            assert merge == FINISH_CYCLES + sum(cost)


BUILDS = [
    {"lanes": 1, "tokens": 16, "heads": 1, "data_bits": 32},
    {"lanes": 2, "tokens": 64, "heads": 5, "topk_lanes": 4, "data_bits": 64},
    {"lanes": 4, "tokens": 32, "heads": 6, "topk_lanes": 4, "data_bits": 128},
    {"lanes": 4, "tokens": 16, "heads": 40, "topk_lanes": 16, "data_bits": 256},
]


@pytest.mark.parametrize("build", BUILDS, ids=lambda b: f"L{b['lanes']}-n{b['tokens']}-{b['data_bits']}b")
def test_pruner(build):
    run_bench(Pruner(tiny(**build)), __name__, params=build)
