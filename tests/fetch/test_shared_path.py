"""SharedPath: rows of all channels one after the other through one converter, words past it; one beat per cycle."""

import numpy as np
import pytest

from spatten_hw.fetch.row_feed import RowFeed
from spatten_hw.fetch.shared_path import SharedPath
from spatten_hw.presets import SMALL
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.payload import Elements, pack_one
from spatten_hw.stream.read_layouts import ReadKind, plane_mode
from tests.seeds import numbers

#: Elements of 8 bits, chunks of a beat: a beat per chunk.
ONE = SMALL.replace(chunk=32, max_dim=64, axi_data_bits=256, max_tokens=64, sram_tokens=64)
FOUR = SMALL.replace(multipliers=32, chunk=8, channels=4, max_dim=24, max_tokens=64, sram_tokens=64, topk_lanes=4)
ALL = pytest.mark.parametrize("c", [ONE, FOUR], ids=["C1", "C4"])
KINDS = [k.value for k in (ReadKind.QUERY, ReadKind.KEY, ReadKind.VALUE)]
WORDS = ReadKind.WORDS.value


def shape_of(c, kind, longest=None):
    """Chunks of the rows of a kind, which differ."""
    return 1 + (kind + 1) % (longest or c.max_chunks)


def settled(c, longest=None):
    """A block whose planes have 8 bits."""
    block = Block(SharedPath, c)
    layout = plane_mode(c)
    block.set(modes=sum(pack_one(layout, {"width": 8, "chunks": shape_of(c, kind, longest)}) << kind * layout.size
                        for kind in range(len(ReadKind) - 1)))
    return block


def rows_of(c, rng, channel, count, words=0.2, longest=None):
    """Rows of one channel; `index` numbers them. A row: kind, half, slice, index, beats [(bytes, error)]."""
    rows = []
    for n in range(count):
        kind = WORDS if rng.random() < words else int(rng.choice(KINDS))
        beats = rng.integers(1, c.word_beats + 1) if kind == WORDS else shape_of(c, kind, longest)
        rows.append({"kind": kind, "half": int(rng.integers(2)), "slice": int(rng.integers(c.slices)),
                     "index": n * c.channels + channel,
                     "beats": [(rng.integers(0, 256, c.beat_bytes), int(rng.random() < 0.1)) for _ in range(beats)]})
    return rows


def beats_of(c, rows):
    """The rows as payloads of a stream."""
    columns = {name: [] for name in ("data", "error", "first", "last", "beats")}
    note = {name: [] for name in ("kind", "half", "slice", "index")}
    for row in rows:
        for n, (values, error) in enumerate(row["beats"]):
            said = {"data": int.from_bytes(values.astype(np.uint8).tobytes(), "little"), "error": error,
                    "first": n == 0, "last": n == len(row["beats"]) - 1, "beats": len(row["beats"])}
            for name, value in said.items():
                columns[name].append(value)
            for name, out in note.items():
                out.append(row[name])
    if c.slices == 1:
        del note["slice"]
    wide = columns.pop("data")
    as_bytes = np.array([list(v.to_bytes(c.beat_bytes, "little")) for v in wide])
    return {"data": Elements(as_bytes, 8), **{k: np.array(v, dtype=int) for k, v in columns.items()},
            "note": {k: np.array(v) for k, v in note.items()}}


def chunks_of(c, row):
    """What the slices get of a row: (operands, chunk, last, error, kind, half, slice, index)."""
    out, error = [], 0
    for n, (values, failed) in enumerate(row["beats"]):
        error |= failed
        signed = values - 256 * (values > 127)
        operands = tuple((signed % (1 << c.operand_bits)).tolist())
        last = int(n == len(row["beats"]) - 1)
        out.append((operands, n % c.max_chunks, last, error, row["kind"], row["half"], row["slice"], row["index"]))
    return out


def chunks_taken(block, c):
    got = block.taken("chunks").columns()
    note = got["note"]
    slices = note.get("slice", np.zeros(len(got["last"]), dtype=int))
    mask = (1 << c.operand_bits) - 1
    return [(tuple(int(d) >> e * c.operand_bits & mask for e in range(c.chunk)), *map(int, rest)) for d, *rest in
            zip(map(int, got["data"]), got["chunk"].tolist() if "chunk" in got else [0] * len(slices), got["last"],
                got["error"], [getattr(k, "value", k) for k in note["kind"]], note["half"], slices, note["index"],
                strict=True)]


@ALL
def test_rows(c):
    """Every channel's rows arrive whole and in its order; words in theirs; reports agree."""
    rng = numbers("shared path", c.channels)
    block = settled(c)
    for stall in (0.0, 0.5):
        rows = [rows_of(c, rng, n, 15) for n in range(c.channels)]
        block.receive("chunks")
        block.receive("fill_returned")
        block.receive("beats", stall=stall, seed=9)
        for name in ("query_returned", "error"):
            block.high(name)
        for n in range(c.channels):
            block.send(f"rows__{n}", beats_of(c, rows[n]), stall=stall * 2 * rng.random() * 0.9, seed=n)
        every = [row for of in rows for row in of]
        chunks = sum(len(r["beats"]) for r in every if r["kind"] != WORDS)
        beats = sum(len(r["beats"]) for r in every if r["kind"] == WORDS)
        block.run(4000, chunks=chunks, beats=beats)
        block.idle(10)
        got = chunks_taken(block, c)
        for n in range(c.channels):
            assert [g for g in got if g[-1] % c.channels == n] == \
                [chunk for row in rows[n] if row["kind"] != WORDS for chunk in chunks_of(c, row)]
        # Rows are not mixed.
        inside = None
        for *_, last, _, _, _, _, index in got:
            assert inside in (None, index)
            inside = None if last else index
        wanted = [(int.from_bytes(v.astype(np.uint8).tobytes(), "little"), e) for row in every if row["kind"] == WORDS
                  for v, e in row["beats"]]
        beat = block.taken("beats").columns()
        assert sorted(zip(map(int, beat["data"]), beat["error"].tolist(), strict=True)) == sorted(wanted)
        done = [(r["kind"], r["half"], any(e for _, e in r["beats"])) for r in every if r["kind"] != WORDS]
        assert block.high("query_returned") == sum(k == KINDS[0] for k, _, _ in done)
        assert block.high("error") == sum(e for k, _, e in done if k == KINDS[0])     # lowest bit: q
        fills = block.taken("fill_returned").columns()
        assert sorted(zip(fills["value"].tolist(), fills["half"].tolist(), strict=True)) == \
            sorted((int(k == KINDS[2]), h) for k, h, _ in done if k != KINDS[0])


@ALL
@pytest.mark.parametrize("longest", [1, None], ids=["one beat", "longest"])
def test_rate(c, longest):
    """One beat per cycle while all channels have rows, also of a single beat; the converter's latency behind."""
    rng = numbers("shared rate", c.channels, longest)
    block = settled(c, longest)
    rows = [rows_of(c, rng, n, 15, words=0, longest=longest) for n in range(c.channels)]
    chunks = sum(len(r["beats"]) for of in rows for r in of)
    for n in range(c.channels):
        block.send(f"rows__{n}", beats_of(c, rows[n]))
    block.run(1000, chunks=chunks)
    taken = np.sort(np.concatenate([block.taken(f"rows__{n}").cycles for n in range(c.channels)]))
    if c.channels == 1:
        assert (np.diff(taken) == 1).all()
    # The last channel that still has rows may be found a cycle late after each change of turn.
    assert (np.diff(taken)[:chunks // 2] == 1).all()
    # A row that comes while another is read is a cycle later, and all behind it.
    late = block.taken("chunks").cycles - (taken + 1 + RowFeed.LATENCY)
    assert late[0] == 0 and set(np.diff(late)) <= {0, 1} and late[-1] <= 1


def test_turns():
    """Every channel with rows gets its turn: of any four rows in a row of turns, one is from each channel."""
    c = FOUR
    rng = numbers("shared turns")
    block = settled(c)
    rows = [rows_of(c, rng, n, 12, words=0) for n in range(c.channels)]
    for n in range(c.channels):
        block.send(f"rows__{n}", beats_of(c, rows[n]))
    block.run(1000, chunks=sum(len(r["beats"]) for of in rows for r in of))
    order = [g[-1] % c.channels for g in chunks_taken(block, c) if g[2]]
    for at in range(4, len(order) - 3, 4):
        assert sorted(order[at:at + 4]) == [0, 1, 2, 3]
