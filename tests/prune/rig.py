"""The pruner with its golden twin and a memory behind its state streams: what the tests of the pruner drive."""

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from spatten_hw.prune.pruner import LISTS
from spatten_hw.sim.golden.cascade import Cascade, CascadeError
from spatten_hw.sim.golden.token_importance import token_importance
from spatten_hw.sim.testbench import Bench
from spatten_hw.sim.testbench.runner import params
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
