"""ChannelReader with the feeds of its slices: every row arrives whole, at rates and latencies as stated."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from spatten_hw.bus.channel_reader import ChannelReader
from spatten_hw.bus.read_issue import AskedClass
from spatten_hw.config import SpAttenConfig
from spatten_hw.fetch.slice_feed import SliceFeed
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.payload import pack_one
from spatten_hw.stream.read_layouts import ReadKind, key_note, plane_mode, value_note
from tests.fetch.row_model import beats_of, cases, chunk_operands, operands
from tests.seeds import numbers

from .channel_rig import BUILDS, Rig, beats_in_memory, contents

Mode = tuple[int, bool, bool]                                # width, lsb, shift


@cache
def block_of(name: str) -> Block:
    block = Block(Rig, name)
    block.idle(block.component.config.pool_beats + 8)        # start-up: the free places are listed
    return block


@dataclass
class Reads:
    """Requests of one class. `at`: their first beats in memory; `mode`: which of the class's modes each has."""

    at: np.ndarray
    beats: np.ndarray
    mode: np.ndarray
    slice: np.ndarray


class Job:
    """Modes of all planes at one head dimension, and random requests."""

    def __init__(self, c: SpAttenConfig, rng: np.random.Generator, dim: int):
        self.c, self.rng, self.dim = c, rng, dim
        kinds = [k for k in cases(c) if not k[1]]
        lsb = next(k for k in cases(c) if k[1])
        self.k, self.v = ([kinds[rng.integers(len(kinds))], lsb] for _ in range(2))
        self.shared = [kinds[rng.integers(len(kinds))] for _ in range(3)] + [lsb, lsb]

    def settings(self) -> dict[str, int]:
        return {f"{name}_planes": self._bits(modes) for name, modes in (("k", self.k), ("v", self.v))}

    def _bits(self, modes: list[Mode]) -> int:
        layout = plane_mode(self.c)
        of_modes = sum(pack_one(layout, {"width": w, "lsb": lsb, "shift": shift, "chunks": self.dim // self.c.chunk})
                       << n * layout.size for n, (w, lsb, shift) in enumerate(modes))
        return of_modes | beats_of(self.c, modes[0][0], self.dim) << 2 * layout.size

    def reads(self, modes: list[Mode], count: int, words: bool = False) -> Reads:
        """`words`: the mode behind the last one is that of words."""
        c, rng = self.c, self.rng
        mode = rng.integers(0, len(modes) + words, count)
        beats = np.array([beats_of(c, modes[n][0], self.dim) if n < len(modes) else rng.integers(1, c.word_beats + 1)
                          for n in mode], dtype=np.int64)
        # One in three crosses a page, or nearly.
        page = beats_in_memory(c) // 2
        at = np.where(rng.random(count) < 0.3, page * rng.integers(1, 3, count) - rng.integers(0, 5, count),
                      rng.integers(0, 2 * page, count))
        return Reads(at % (2 * page), beats, mode, rng.integers(0, c.slices_per_channel, count))

    def row(self, at: int, beats: int, mode: Mode) -> tuple[np.ndarray, bool]:
        """Operands [chunks, N] (W bits each) of a row, and whether it has an error."""
        bits, errors = contents(self.c)
        places = np.arange(at, at + beats) % beats_in_memory(self.c)
        width, lsb, shift = mode
        values = operands(self.c, bits[places].ravel(), width, self.dim, lsb, shift) & ((1 << self.c.operand_bits) - 1)
        return values.reshape(-1, self.c.chunk), bool(errors[places].any())


def split(value: np.ndarray, sizes: dict[str, int]) -> dict[str, np.ndarray]:
    """A request's number in bits of several fields, lowest first."""
    out = {}
    for key, size in sizes.items():
        out[key], value = value & ((1 << size) - 1), value >> size
    assert not value.any()
    return out


def number_of(note: dict[str, np.ndarray], sizes: dict[str, int]) -> np.ndarray:
    value, shift = np.zeros(len(note[next(iter(sizes))]), dtype=np.int64), 0
    for key, size in sizes.items():
        value, shift = value | (note[key].astype(np.int64) << shift), shift + size
    return value


def local_sizes(c: SpAttenConfig, name: str) -> dict[str, int]:
    layout = key_note(c) if name == "k" else value_note(c)
    return {key: field.width for key, field in layout if key not in ("slice", "lsb")}


def send(block: Block, c: SpAttenConfig, name: str, reads: Reads, stall: float) -> None:
    n = np.arange(len(reads.at))
    if name == "shared":
        kinds = np.where(reads.mode == 5, ReadKind.WORDS.value, reads.mode)
        note = {"kind": kinds, "half": n & 1, "index": n >> 1, "slice": n % c.slices}
    else:
        note = {"slice": reads.slice, "lsb": reads.mode, **split(n, local_sizes(c, name))}
    block.send(name, {"addr": reads.at * c.beat_bytes, "beats": reads.beats, "note": note}, stall=stall,
               seed=len(name) + 5)


def check_rows(job: Job, out: dict, numbers_out: np.ndarray, wanted: list[tuple[int, int, int, Mode]]) -> None:
    """Chunks of whole rows, in any order of rows. `wanted`: (number, first beat, beats, mode)."""
    chunks = job.dim // job.c.chunk
    got = chunk_operands(job.c, out["data"])
    rows = numbers_out.reshape(-1, chunks)
    assert (rows == rows[:, :1]).all() and (out["chunk"].reshape(-1, chunks) == np.arange(chunks)).all()
    assert (out["last"].reshape(-1, chunks) == (np.arange(chunks) == chunks - 1)).all()
    place = {int(n): row for row, n in enumerate(rows[:, 0])}
    assert sorted(place) == sorted(n for n, *_ in wanted) and len(rows) == len(wanted)
    for n, at, beats, mode in wanted:
        values, error = job.row(at, beats, mode)
        first = place[n] * chunks
        assert (got[first:first + chunks] == values).all(), (n, mode)
        assert out["error"][first + chunks - 1] == error


def check_shared(job: Job, block: Block, reads: Reads) -> None:
    c = job.c
    beats = block.taken("shared_beats").columns()
    number = beats["note"]["half"] | beats["note"]["index"].astype(np.int64) << 1
    words, errors = contents(c)
    assert len(number) == reads.beats.sum()
    for n, mode in enumerate(reads.mode):
        mine = np.flatnonzero(number == n)
        places = np.arange(reads.at[n], reads.at[n] + reads.beats[n]) % beats_in_memory(c)
        assert len(mine) == reads.beats[n] and (np.diff(mine) == 1).all()
        want = [int.from_bytes(np.packbits(words[p], bitorder="little").tobytes(), "little") for p in places]
        assert beats["data"][mine].tolist() == want
        assert (beats["error"][mine] == errors[places]).all() and (beats["beats"][mine] == reads.beats[n]).all()
        assert (beats["note"]["kind"][mine] == (ReadKind.WORDS.value if mode == 5 else mode)).all()
        assert beats["first"][mine].tolist() == [1] + [0] * (len(mine) - 1)
        assert beats["last"][mine].tolist() == [0] * (len(mine) - 1) + [1]


def start(block: Block, job: Job, pause: int, stall: float) -> list[str]:
    """Everything idle, the job's modes set; returns the names of the slices' outputs."""
    block.set(pause=pause, **job.settings())
    outs = [f"{kind}_chunks{n}" for kind in "kv" for n in range(job.c.slices_per_channel)]
    for n, name in enumerate(outs):
        block.receive(name, stall=stall, seed=n + 2)
    for name in ("asked", "r_seen", "ar_seen", "beat_seen"):
        block.receive(name)
    block.receive("shared_beats", stall=stall, seed=1)
    return outs


@pytest.mark.parametrize("name", BUILDS)
@pytest.mark.parametrize(("stall", "pause"), [(0.0, 0), (0.5, 4), (0.1, 13)])
def test_every_row_arrives(name, stall, pause):
    """All classes at once, out of order and interleaved, pages crossed; and again with other modes."""
    c = BUILDS[name]
    block = block_of(name)
    rng = numbers("rows", name, stall)
    counts = {"k": 100, "v": 80, "shared": 60}
    if name == "long pieces":
        counts = {key: n // 3 for key, n in counts.items()}
    for dim in (c.dims[-1], c.chunk, int(rng.choice(c.dims))):
        job = Job(c, rng, dim)
        reads = {"k": job.reads(job.k, counts["k"]), "v": job.reads(job.v, counts["v"]),
                 "shared": job.reads(job.shared, counts["shared"], words=True)}
        start(block, job, pause, stall)
        for key, r in reads.items():
            send(block, c, key, r, stall / 2)
        chunks = dim // c.chunk
        counted = {f"{key}_chunks{s}": int((reads[key].slice == s).sum()) * chunks
                   for key in "kv" for s in range(c.slices_per_channel)}
        total = sum(int(r.beats.sum()) for r in reads.values())
        block.run(200 + 60 * total, **counted, shared_beats=int(reads["shared"].beats.sum()))
        block.run(60 * total + 200, r_seen=total)
        block.idle(60)
        assert block.get("idle") and block.get("feeds_idle") and not any(block.get("waits").values())
        for key in "kv":
            for s in range(c.slices_per_channel):
                out = block.taken(f"{key}_chunks{s}").columns()
                assert (out["note"]["lsb"] == (reads[key].mode[number_of(out["note"], local_sizes(c, key))])).all()
                assert (out["note"]["slice"] == s).all()
                modes = job.k if key == "k" else job.v
                r = reads[key]
                check_rows(job, out, number_of(out["note"], local_sizes(c, key)),
                           [(n, r.at[n], r.beats[n], modes[r.mode[n]]) for n in np.flatnonzero(r.slice == s)])
        check_shared(job, block, reads["shared"])
        asked = block.taken("asked").columns()
        by_class = np.bincount(asked["kind"], weights=asked["beats"], minlength=6)
        shared = np.bincount(reads["shared"].mode, weights=reads["shared"].beats, minlength=6)
        k, v = (np.bincount(reads[key].mode, weights=reads[key].beats, minlength=2) for key in "kv")
        assert by_class[AskedClass.Q.value] == shared[0] and by_class[AskedClass.OTHER.value] == shared[5]
        assert by_class[AskedClass.K_MSB.value] == k[0] + shared[1]
        assert by_class[AskedClass.V_MSB.value] == v[0] + shared[2]
        assert by_class[AskedClass.K_LSB.value] == k[1] + shared[3]
        assert by_class[AskedClass.V_LSB.value] == v[1] + shared[4]


def local_only(name: str, width: int, dim: int, count: int, apart: int = 0) -> Block:
    """`count` K rows of slice 0 within pages, nothing stalls; with `apart`, so many cycles between two."""
    c = BUILDS[name]
    job = Job(c, numbers("rate", name), dim)
    job.k[0] = (width, False, False)
    block = block_of(name)
    start(block, job, 0, 0.0)
    beats = beats_of(c, width, dim)
    n = np.arange(count)
    block.send("k", {"addr": n * beats % (beats_in_memory(c) // 2 - beats) * c.beat_bytes, "beats": beats,
                     "note": split(n, local_sizes(c, "k"))}, at=block.cycle + n * apart)
    block.run(200 + count * (apart + 4 * beats), k_chunks0=count * dim // c.chunk)
    return block


@pytest.mark.parametrize(("width", "dim"), [(8, 24), (8, 8), (12, 16), (12, 24), (4, 24), (4, 16)])
def test_rate(width, dim):
    """One beat per cycle, rows back to back, a row of one beat every cycle, too; and chunks as fast as there are."""
    c = BUILDS["two slices"]
    block = local_only("two slices", width, dim, 120)
    chunks, beats = dim // c.chunk, beats_of(c, width, dim)
    seen = block.taken("beat_seen")
    # The memory answers out of order; only where all beats of several rows come one by one may a beat be late.
    assert seen.cycles[-1] - seen.cycles[0] <= 120 * max(chunks, beats) * 1.03 + 12
    assert chunks > beats or seen.cycles[-1] - seen.cycles[0] <= 120 * beats * 1.03 + 12
    out = block.taken("k_chunks0")
    assert out.cycles[-1] - out.cycles[0] <= 120 * max(chunks, beats) * 1.03 + 12
    # One burst per cycle as long as ids and places last.
    bursts = block.taken("ar_seen").cycles
    assert bursts[9 // beats] - bursts[0] == 9 // beats


def test_rate_of_both_classes():
    """Three chunks in a beat: K and V rows of a slice come as fast as each of them gives a chunk per cycle."""
    name = "two feeds"
    c = BUILDS[name]
    assert c.feeds == 2 and all(BUILDS[other].feeds == 1 for other in BUILDS if other != name)
    job = Job(c, numbers("both"), 24)
    job.k[0] = job.v[0] = (4, False, False)
    block = block_of(name)
    start(block, job, 0, 0.0)
    n = np.arange(120)
    for key in "kv":
        block.send(key, {"addr": n % 200 * c.beat_bytes, "beats": 1, "note": split(n, local_sizes(c, key))},
                   at=block.cycle + 3 * n)
    block.run(1000, k_chunks0=360, v_chunks0=360)
    cycles = [block.taken(f"{key}_chunks0").cycles for key in "kv"]
    assert max(of[-1] for of in cycles) - min(of[0] for of in cycles) <= 360 * 1.03 + 12


def test_a_class_that_waits_lets_the_other_pass():
    """K rows go first, but nobody takes them: V rows go on, as not all ids are given to rows that would only wait."""
    name = "two feeds"
    c = BUILDS[name]
    job = Job(c, numbers("enough"), 24)
    job.k[0] = job.v[0] = (8, False, False)
    block = block_of(name)
    start(block, job, 0, 0.0)
    for s in range(2):
        block.receive(f"k_chunks{s}", stall=0.999, seed=s + 3)
    n = np.arange(200)
    for key in "kv":
        block.send(key, {"addr": n * c.beat_bytes, "beats": 2,
                         "note": {"slice": n % 2, **split(n, local_sizes(c, key))}}, at=block.cycle + 4 * n)
    assert block.run(2000, v_chunks0=300, v_chunks1=300) < 1000
    taken = [block.taken(f"k_chunks{s}").fired for s in range(2)]
    assert max(taken) < 10
    for s in range(2):
        block.receive(f"k_chunks{s}")
    block.run(2000, **{f"k_chunks{s}": 300 - taken[s] for s in range(2)})


@pytest.mark.parametrize("width", [8, 12])
def test_latency(width):
    """A lone row: its first beat goes on `LATENCY` cycles behind the last that came, its chunk soon after the last."""
    c = BUILDS["two slices"]
    block = local_only("two slices", width, c.chunk, 10, apart=60)
    beats = beats_of(c, width, c.chunk)
    last = block.taken("r_seen").cycles[beats - 1::beats]
    first = block.taken("beat_seen").cycles[::beats]
    assert set(first - last) == {ChannelReader.LATENCY}
    whole = block.taken("beat_seen").cycles[beats - 1::beats]
    assert set(block.taken("k_chunks0").cycles - whole) == {SliceFeed.LATENCY}
    asked = block.taken("k").cycles
    assert set(block.taken("ar_seen").cycles - asked) == {2}


def test_stuck_keys_leave_room_for_shared_reads():
    """K rows that nobody takes fill what they may, and shared rows still pass; then all K rows come."""
    name = "two slices"
    c = BUILDS[name]
    job = Job(c, numbers("stuck"), c.max_dim)
    block = block_of(name)
    start(block, job, 0, 0.0)
    for s in range(2):
        block.receive(f"k_chunks{s}", stall=0.995, seed=s + 9)
    keys, shared = job.reads(job.k, 60), job.reads(job.shared, 30, words=True)
    keys.at[:] %= 64
    shared.at[:] %= 64
    send(block, c, "k", keys, 0.0)
    block.idle(300)
    send(block, c, "shared", shared, 0.0)
    taken = sum(block.taken(f"k_chunks{s}").fired for s in range(2))
    assert block.run(300, shared_beats=1) < 60
    block.run(60 + 12 * int(shared.beats.sum()), shared_beats=int(shared.beats.sum()))
    assert sum(block.taken(f"k_chunks{s}").fired for s in range(2)) - taken < 20
    check_shared(job, block, shared)
    assert block.get("waits")["q"] == 0 and not block.get("idle")
    block.run(200000, k_chunks0=int((keys.slice == 0).sum()) * c.max_chunks,
              k_chunks1=int((keys.slice == 1).sum()) * c.max_chunks)


def test_rows_of_two_slices_pass_each_other():
    """While slice 0 takes nothing, rows of slice 1 go on."""
    name = "two slices"
    c = BUILDS[name]
    job = Job(c, numbers("pass"), c.max_dim)
    block = block_of(name)
    start(block, job, 0, 0.0)
    block.receive("k_chunks0", stall=0.99, seed=4)
    keys = job.reads(job.k, 40)
    keys.slice[:] = [1] * 6 + [0] * 4 + [1] * 30
    send(block, c, "k", keys, 0.0)
    cycles = block.run(1000, k_chunks1=36 * c.max_chunks)
    assert cycles < 36 * c.max_row_beats + 100
    block.run(200000, k_chunks0=4 * c.max_chunks)


@pytest.mark.parametrize("key", ["k", "v", "shared"])
def test_not_idle_while_a_read_is_outstanding(key):
    """A lone read, from its request to the last of its beats that comes; then several, as long as any is out."""
    name = "two slices"
    c = BUILDS[name]
    job = Job(c, numbers("outstanding", key), c.max_dim)
    block = block_of(name)
    start(block, job, 13, 0.0)
    block.idle(4)
    for count in (1, 5):
        reads = job.reads({"k": job.k, "v": job.v, "shared": job.shared}[key], count)
        assert block.get("idle")
        block.receive("r_seen")
        block.high("idle")
        send(block, c, key, reads, 0.0)
        block.run(3000, r_seen=int(reads.beats.sum()))
        assert block.high("idle") == 0
        block.idle(60)
        assert block.get("idle") and block.get("feeds_idle")
