"""The pruner with its golden twin and a memory behind its state streams: what the tests of the pruner drive."""

from __future__ import annotations

import numpy as np

from spatten_hw.prune.pruner import Pruner
from spatten_hw.sim.golden.cascade import Cascade, CascadeError, bitmap_words
from spatten_hw.sim.golden.token_importance import token_importance
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.payload import pack
from spatten_hw.stream.layouts import head_sum, prob_row
from spatten_hw.stream.read_layouts import aux_word

from .builds import JOB


class Rig:
    """One pruner, compiled; `rng` decides about everything, `stall` is the probability of a stall on every stream."""

    def __init__(self, config, rng: np.random.Generator, stall: float = 0.0):
        self.c, self.rng, self.stall = config, rng, stall
        self.block = Block(Pruner, config)
        self.renew()

    def renew(self) -> None:
        """After a reset: nothing is alive, all totals are 0."""
        self.golden = Cascade(self.c)
        self.memory: dict[int, int] = {}
        self.bad: set[int] = set()
        self.job = dict(JOB)
        self.block.set(drained=1)
        self.hint()

    def seed(self) -> int:
        return int(self.rng.integers(1, 1000))

    def hint(self, **job: int) -> None:
        """Says which job will follow; without one, none is known."""
        whole = JOB | {"keep_tokens": self.c.max_tokens} | job
        self.block.set(next_job=whole, next_valid=int(bool(job)))

    # -- memory -----------------------------------------------------------------------------------------

    def poke(self, addr: int, words) -> None:
        for n, word in enumerate(words):
            self.memory[addr + 8 * n] = int(word)

    def words(self, addr: int) -> list[int]:
        count = self.c.max_tokens + self.c.max_heads + 3
        return [self.memory.get(addr + 8 * n, 0xEEEE_EEEE_EEEE_EEEE) for n in range(count)]

    def _loads(self) -> list[tuple[int, int]]:
        """(address, words) that the job must read, in order."""
        job, loads = self.job, []
        if job["load_scores"]:
            loads.append((job["scores_in"], job["tokens"] + job["heads"]))
            if any(job["scores_in"] + 8 * n in self.bad for n in range(loads[0][1])):
                return loads
        if job["load_ids"] and not job["restart"]:
            loads.append((job["ids_in"], 1 + bitmap_words(job["tokens"]) + bitmap_words(job["heads"])))
        return loads

    # -- operations -------------------------------------------------------------------------------------

    def op(self, finish: int, limit: int = 20_000) -> tuple[int, int]:
        """Runs one op; returns (error, cycles from its acceptance to done)."""
        b = self.block
        b.receive("done", stall=self.stall, seed=self.seed())
        b.receive("state", stall=self.stall, seed=self.seed())
        b.send("op", [finish])
        b.run(limit, done=1)
        done = b.taken("done")
        return done.integers()[0], int(done.cycles[0] - b.taken("op").cycles[0])

    def prepare(self, **job: int) -> tuple[int, int]:
        """PREPARE in both; returns (error, cycles)."""
        self.job = JOB | {"keep_tokens": self.c.max_tokens, "keep_heads": self.c.max_heads} | job
        b, c = self.block, self.c
        b.set(job=self.job)
        loads = self._loads()
        reads = [addr + 8 * n for addr, count in loads for n in range(count)]
        words = {"data": np.array([self.memory.get(a, 0xEEEE_EEEE_EEEE_EEEE) for a in reads], dtype=np.uint64),
                 "error": np.array([int(a in self.bad) for a in reads], dtype=int)}
        b.receive("state_cmd", stall=self.stall, seed=self.seed())
        # Every word after the command that asks for it: pieces of at most max_tokens words.
        pieces = [min(c.max_tokens, count - at) for _, count in loads for at in range(0, count, c.max_tokens)]
        after = [n + 1 for n, size in enumerate(pieces) for _ in range(size)]
        if reads:
            b.send("state_words", pack(aux_word(), words), after=("state_cmd", after), stall=self.stall,
                   seed=self.seed())
        wrong = False
        try:
            self.golden.prepare(self.job, self.words(self.job["ids_in"]), self.words(self.job["scores_in"]))
        except CascadeError:
            wrong = True
        if any(a in self.bad for a in reads):
            wrong = True
            self.golden.forget()
        error, cycles = self.op(0)
        assert error == wrong, self.job
        asked = b.taken("state_cmd").columns()
        starts = [addr + 8 * at for addr, count in loads for at in range(0, count, c.max_tokens)]
        assert list(zip(asked["addr"].tolist(), asked["words"].tolist(), strict=True)) == list(
            zip(starts, pieces, strict=True))
        if reads:
            assert b.taken("state_words").fired == len(reads)
        self.check()
        return error, cycles

    def check(self) -> None:
        """Counts, heads, class lists, and (in prompts) the dense list, through all readers."""
        c, b, alive = self.c, self.block, self.golden.tokens_alive
        assert b.get("alive_tokens") == len(alive)
        assert b.get("alive_heads") == len(self.golden.heads_alive)
        assert b.get("heads_alive") == sum(1 << int(h) for h in self.golden.heads_alive)
        classes = [alive[alive % c.slices == s] // c.slices for s in range(c.slices)]
        assert b.get("class_counts") == [len(ids) for ids in classes]
        if not len(alive):
            return
        rows = max(map(len, classes))
        for row in self.rng.permutation(rows).tolist():
            b.set(class_row__0=row, class_row__1=rows - 1 - row)
            b.idle(1)
            for reader, at in ((0, row), (1, rows - 1 - row)):
                got = b.get(f"class_indexes__{reader}")
                for s, ids in enumerate(classes):
                    assert at >= len(ids) or got[s] == ids[at], (reader, at, s)
        if self.job["generate"]:
            return
        rows = -(-len(alive) // c.slices)
        for row in self.rng.permutation(rows).tolist():
            b.set(dense_row__0=row, dense_row__1=rows - 1 - row)
            b.idle(1)
            for reader, at in ((0, row), (1, rows - 1 - row)):
                want = alive[at * c.slices:(at + 1) * c.slices].tolist()
                assert b.get(f"dense_ids__{reader}")[:len(want)] == want, (reader, at)

    # -- data -------------------------------------------------------------------------------------------

    def prob_rows(self, vectors: list[np.ndarray], heads: list[int]) -> np.ndarray:
        """Vectors of probabilities as packed rows: by position, in generation by class, turned by the K/V head."""
        c, alive = self.c, self.golden.tokens_alive
        probs, live, last, kv = [], [], [], []
        for vector, head in zip(vectors, heads, strict=True):
            n = len(vector)
            if self.job["generate"]:
                classes = alive % c.slices
                slices = (alive + head) % c.slices
                rows = np.zeros(n, dtype=int)
                for s in range(c.slices):
                    rows[classes == s] = np.arange(int((classes == s).sum()))
            else:
                slices, rows = (np.arange(n) + head) % c.slices, np.arange(n) // c.slices
            count = int(rows.max()) + 1
            # Dead lanes are 0 in a row of final probabilities, but nothing here relies on it.
            values = self.rng.integers(0, 4096, (count, c.slices))
            masks = np.zeros((count, c.slices), dtype=int)
            values[rows, slices] = vector
            masks[rows, slices] = 1
            probs += list(values)
            live += [int(sum(int(x) << s for s, x in enumerate(mask))) for mask in masks]
            last += [0] * (count - 1) + [1]
            kv += [head] * count
        if not probs:
            return np.zeros((0, 1), dtype=np.uint8)
        return pack(prob_row(c), {
            "probs": np.array(probs), "live": np.array(live, dtype=np.uint64), "last": np.array(last),
            "tag": {"kv_head": np.array(kv), "stream": np.full(len(kv), self.job["generate"])}})

    def layer(self, vectors: int, causal: bool = False, most: int = 4096, settle: int = 0) -> int:
        """Random vectors and head sums through both, then FINISH, `settle` cycles later; stores are compared.
        Returns the cycles of FINISH."""
        b, c, rng, g = self.block, self.c, self.rng, self.golden
        n = len(g.tokens_alive)
        probs = np.zeros((vectors, n), dtype=np.int64)
        pieces, heads = [], []
        for v in range(vectors):
            length = int(rng.integers(1, n + 1)) if causal and not self.job["generate"] else n
            probs[v, :length] = rng.integers(0, most, length)
            pieces.append(probs[v, :length])
            heads.append(int(rng.choice(g.heads_alive)))
        rows = self.prob_rows(pieces, heads)
        sum_bits = head_sum(c)["sum"].width
        count = int(rng.integers(0, 60))
        of = rng.choice(g.heads_alive, count)
        sums = rng.integers(0, min(most, 1 << sum_bits), count)
        head_sums = np.zeros(c.max_heads, dtype=np.int64)
        np.add.at(head_sums, of, sums)
        head_rows = pack(head_sum(c), {"kv_head": of, "sum": sums}) if count else None
        late = self.stall > 0 and count and not (self.job["store_ids"] | self.job["store_scores"])
        if len(rows):
            b.send("probs", rows, stall=self.stall, seed=self.seed())
        if count and not late:
            b.send("head_sums", head_rows, stall=self.stall, seed=self.seed())
        moved = {name: n for name, n in (("probs", len(rows)), ("head_sums", 0 if late else count)) if n}
        if moved:
            b.run(200 + 8 * (len(rows) + count), **moved)
        if self.stall == 0 and len(rows):
            assert b.taken("probs").bubbles == 0, "not one row per cycle"
        g.finish(token_importance(probs), head_sums)
        b.idle(settle)
        if not late:
            return self.finish()
        # Outputs may still be on their way when FINISH is done, which does not need them.
        b.set(drained=0)
        cycles = self.finish()
        b.send("head_sums", head_rows, stall=self.stall, seed=self.seed())
        b.run(200 + 8 * count, head_sums=count)
        b.set(drained=1)
        return cycles

    def finish(self) -> int:
        error, cycles = self.op(1)
        assert error == 0
        beats = self.block.taken("state").columns()
        at = 0
        for store, addr, words in (("store_ids", "ids_out", self.golden.save_ids),
                                   ("store_scores", "scores_out",
                                    lambda: self.golden.save_scores(self.job["tokens"], self.job["heads"]))):
            if self.job[store]:
                at = self.section(beats, at, self.job[addr], words())
        assert at == len(beats["addr"])
        return cycles

    def section(self, beats, at: int, addr: int, words) -> int:
        """Checks one stored section against `words`, writes it to memory, returns the beat after it."""
        c = self.c
        count = -(-8 * len(words) // c.beat_bytes)
        image = b""
        for n in range(count):
            assert beats["kind"][at + n] == 1
            assert beats["last"][at + n] == (n == count - 1)
            assert beats["addr"][at + n] + (int(beats["channel"][at + n]) << c.axi_addr_bits) == addr + n * c.beat_bytes
            used = min(c.beat_bytes, 8 * len(words) - n * c.beat_bytes)
            assert int(beats["strobe"][at + n]) == (1 << used) - 1
            image += int(beats["data"][at + n]).to_bytes(c.beat_bytes, "little")[:used]
        assert image == np.asarray(words, dtype="<u8").tobytes()
        self.poke(addr, words)
        return at + count
