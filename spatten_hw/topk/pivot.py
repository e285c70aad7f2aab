"""Where pivots come from: random samples of the candidates, one of them chosen by rank."""

from __future__ import annotations

from itertools import combinations

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import clog2
from ..contract import at_most_one, contract, contracts_on
from ..primitives.adder_tree import balanced_sum
from ..primitives.one_hot import one_hot_mux
from ..primitives.pipeline import delay
from ..primitives.widths import narrow


class RandomBits(wiring.Component):
    """32 pseudo-random bits, a Galois shift register from a fixed seed: every run is the same. `following`: those of
    the next cycle."""

    WIDTH = 32
    TAPS = 0x8020_0003
    SEED = 0x1ACE_B00C

    bits: Signal
    following: Signal

    def __init__(self) -> None:
        super().__init__({"bits": Out(self.WIDTH, init=self.SEED), "following": Out(self.WIDTH)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.d.comb += self.following.eq((self.bits >> 1) ^ Mux(self.bits[0], self.TAPS, 0))
        m.d.sync += self.bits.eq(self.following)
        return m


class RowSampler(wiring.Component):
    """Keeps `count` of the live keys of the rows that pass, every row about as likely as any other.

    Reservoir sampling with the probability 1/t of replacing a sample by one of row t rounded to a power of
    two; a sample is of a lane of its own, and the first live key there is always taken. Ports: `valid`, `keys`, `live`
    lanes, `last` (the next row starts a new vector), `random` (for the next cycle's row). `samples` are registers: they
    show a row one cycle later. Where a lane has no live key in a vector, its sample is left over from an earlier one.
    """

    valid: Signal
    live: Signal
    last: Signal
    random: Signal
    keys: data.View
    samples: data.View

    def __init__(self, key_bits: int, lanes: int, count: int, max_rows: int):
        self.lanes = lanes
        self.count = count
        self.max_rows = max_rows
        super().__init__({
            "valid": In(1), "live": In(lanes), "last": In(1), "random": In(RandomBits.WIDTH),
            "keys": In(data.ArrayLayout(unsigned(key_bits), lanes)),
            "samples": Out(data.ArrayLayout(unsigned(key_bits), count)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        rows = Signal(self.max_rows.bit_length())
        # Ones below the leading one of the row number: these bits of a random word are all 0 once in 2^ones times.
        mask = Signal(min(RandomBits.WIDTH, max(1, clog2(self.max_rows + 1))))
        next_mask = Signal.like(mask)
        m.d.comb += next_mask.eq(mask | Mux((rows + 2) > Cat(1, mask), narrow(Cat(1, mask), len(mask)), 0))
        with m.If(self.valid):
            m.d.sync += [rows.eq(Mux(self.last, 0, rows + 1)), mask.eq(Mux(self.last, 0, next_mask))]
        for j in range(self.count):
            offset = j * RandomBits.WIDTH // self.count
            rotated = Cat(self.random[offset:], self.random[:offset])[:len(mask)]
            # Drawn a cycle ahead, since samples are wide: with this cycle's row and without, as `valid` comes late.
            replaces = Signal(name=f"replaces_{j}", init=1)
            m.d.sync += replaces.eq(Mux(self.valid, self.last | ((rotated & next_mask) == 0), (rotated & mask) == 0))
            lane = j * self.lanes // self.count
            held = Signal(name=f"held_{j}")  # a key of this vector
            with m.If(self.valid):
                m.d.sync += held.eq(~self.last & (held | self.live[lane]))
            with m.If(self.valid & self.live[lane] & (replaces | ~held)):
                m.d.sync += self.samples[j].eq(self.keys[lane])
        contract(m, rows <= self.max_rows, "no vector has more rows than max_rows", when=self.valid)
        return m


class PivotChooser(wiring.Component):
    """Chooses the pivot for finding the `k`-th largest of `size` keys.

    `k`, `size`, `low`, `high`, `middle` are read in cycle 0, `samples` in cycle 1; `pivot` is valid in cycle
    `latency`: 2, for keys of more than `WIDE` bits 4 (one cycle later for every cycle they come later). The pivot is
    the sample whose rank corresponds to k among all keys, moved by part of a rank towards the median so that the k-th
    key is probably in the smaller part. `middle` selects (low + high) / 2 instead.
    """

    #: Keys of up to so many bits are compared and counted in the cycle they come in; wider ones are registered before
    #: and between.
    WIDE = 16
    #: Distance from the target rank towards the median, in sample ranks (found by simulation).
    BIAS = 0.75

    k: Signal
    size: Signal
    low: Signal
    high: Signal
    middle: Signal
    samples: data.View
    pivot: Signal

    def __init__(self, key_bits: int, samples: int, count_bits: int):
        self.key_bits = key_bits
        self.count = samples
        self.count_bits = count_bits
        self.latency = 4 if key_bits > self.WIDE else 2
        super().__init__({
            "k": In(count_bits), "size": In(count_bits), "low": In(key_bits), "high": In(key_bits),
            "middle": In(1), "samples": In(data.ArrayLayout(unsigned(key_bits), samples)),
            "pivot": Out(key_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        count = self.count
        # Rank i or deeper if k/size ≥ steps[i − 1]/16, with one row of steps for each half.
        below = [round(16 * (i - self.BIAS + 0.5) / (count + 1)) for i in range(1, count)]
        above = [round(16 * (i + self.BIAS + 0.5) / (count + 1)) for i in range(1, count)]
        # Products without reset are registered in an FPGA's multipliers.
        lower_half = Signal()
        m.d.sync += lower_half.eq((self.k << 1) < self.size)
        k16 = Signal(self.count_bits + 4)
        m.d.sync += k16.eq(Cat(Const(0, 4), self.k))

        def deeper(steps: list[int], name: str):
            found = []
            for i, step in enumerate(steps):
                part = Signal(self.count_bits + 4, name=f"{name}_{i}_share", reset_less=True)
                m.d.sync += part.eq(self.size * step)
                found.append(k16 >= part)
            return balanced_sum([Const(0, 1), *found])

        rank = Signal(range(max(2, count)))
        skipped = sum(1 for s in above if s <= 8)
        m.d.sync += rank.eq(Mux(lower_half, deeper([s for s in below if s < 8], "below"),
                                skipped + deeper([s for s in above if s > 8], "above")))

        # Compared, one comparator for a pair (of two equal samples the earlier one is ahead); then counted.
        first_ahead = {pair: Signal(name="ahead_{}_{}".format(*pair), reset_less=True)
                       for pair in combinations(range(count), 2)}
        wide = self.key_bits > self.WIDE
        compared = delay(m, self.samples, 1 if wide else 0, "compared")
        m.d["sync" if wide else "comb"] += [
            ahead.eq(compared[i] >= compared[j]) for (i, j), ahead in first_ahead.items()]
        # Wide keys: `rank` has been valid for two cycles, so it is compared in front of the register.
        hits: list[Value] = []
        for j in range(count):
            before = [first_ahead[i, j] if i < j else ~first_ahead[j, i] for i in range(count) if i != j]
            place = balanced_sum([Const(0, 1), *before])
            if wide:
                hit = Signal(name=f"hit_{j}")
                m.d.sync += hit.eq(place == rank)
                hits.append(hit)
            else:
                ordered = Signal(range(max(2, count)), name=f"rank_{j}", reset_less=True)
                m.d.sync += ordered.eq(place)
                hits.append(ordered == rank)
        kept = delay(m, compared, 2 if wide else 1, "kept")

        centre = Signal(self.key_bits, reset_less=True)
        m.d.sync += centre.eq(narrow((self.low + self.high) >> 1, self.key_bits))
        centre_late = delay(m, centre, self.latency - 1, "centre")
        # Ranks are a permutation: one sample is hit.
        sample = one_hot_mux(hits, [kept[j] for j in range(count)])
        m.d.comb += self.pivot.eq(Mux(self.middle, centre_late, sample))
        if contracts_on():
            age = Signal(range(self.latency + 1))    # what was in the registers at first has left them
            m.d.sync += age.eq(Mux(age == self.latency, age, age + 1))
            contract(m, at_most_one(Cat(hits)), "ranks are a permutation: one sample is hit at most",
                     when=age == self.latency)
        return m
