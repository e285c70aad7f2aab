"""SharedFetch: commands in, requests answered row by row as channels do, chunks, words and reports out."""

import numpy as np

from spatten_hw.fetch.fill_walk import MOST_ROWS
from spatten_hw.fetch.shared import SharedFetch
from spatten_hw.presets import SMALL
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.payload import pack_one
from spatten_hw.stream.read_layouts import ReadKind, plane_mode
from tests.seeds import numbers

from .answers import Asked, requests
from .test_shared_path import WORDS, beats_of, chunks_of, chunks_taken

#: Elements of 8 bits, chunks of a beat: a beat per chunk.
FOUR = SMALL.replace(multipliers=32, chunk=8, channels=4, max_dim=24, max_tokens=64, sram_tokens=64, topk_lanes=4)


def test_shared_fetch():
    c = FOUR
    rng = numbers("shared fetch")
    survivors = np.sort(rng.choice(c.max_tokens, 21, replace=False))
    block = Block(SharedFetch, c)
    asked = Asked(c, rng, block, survivors, most=c.max_chunks)
    layout = plane_mode(c)
    block.set(modes=sum(pack_one(layout, {"width": 8, "chunks": plane["beats"]}) << kind * layout.size
                        for kind, plane in enumerate(asked.planes)))
    queries = [(int(rng.integers(c.max_heads)), int(rng.integers(c.max_tokens)), slot) for slot in range(c.slots)]
    block.send("q_cmd", dict(zip(("head", "token", "slot"), np.array(queries).T, strict=True)))
    fills = [(1, 21, 0, 0, 0), (1, 20, 0, 1, 0), (2, 7, 1, 1, 1)]
    block.send("fill", dict(zip(("kv_head", "rows", "half", "value", "lsb"), np.array(fills).T, strict=True)))
    for client in range(2):
        block.send(f"cmd__{client}", {"addr": [(client << c.axi_addr_bits) + 4096 - 24], "words": [11 + client]})

    # Before any row has come as many rows of fills are asked for as may be.
    block.idle(300)
    of_fills = sum(r[2] not in (ReadKind.QUERY.value, WORDS) for got in requests(block, c) for r in got)
    assert of_fills == MOST_ROWS < sum(rows for _, rows, *_ in fills[:2])
    seen = [0] * c.channels
    rows, words = [], {0: [], 1: []}
    # Rounds: what was asked for meanwhile comes back, the rows of a channel in any order.
    for _ in range(20):
        block.idle(300)
        for n, got in enumerate(requests(block, c)):
            new = got[seen[n]:]
            seen[n] = len(got)
            back = []
            for at in rng.permutation(len(new)):
                addr, beats, kind, half, slice_, index = new[at]
                row = {"kind": kind, "half": half, "slice": slice_, "index": index,
                       "beats": [(rng.integers(0, 256, c.beat_bytes), int(rng.random() < 0.03)) for _ in range(beats)]}
                back.append(row)
                if kind == WORDS:
                    words[n] += [(int.from_bytes(v.astype(np.uint8).tobytes(), "little"), e) for v, e in row["beats"]]
                    assert addr == 4096 - 24 + 8 * (len(words[n]) - beats)
                else:
                    rows.append(row)
            if back:
                block.send(f"rows__{n}", beats_of(c, back))
    block.idle(10)
    assert block.get("idle") == 1
    for client in range(2):
        got = block.taken(f"words__{client}").columns()
        assert list(zip(map(int, got["data"]), got["error"].tolist(), strict=True)) == words[client]
        assert got["last"].tolist() == [0] * (10 + client) + [1]
    every = [request for q in queries for request in [asked.query(*q)]] + [r for f in fills for r in asked.fill(*f)]
    assert sorted(request[2:] for _, request in every) == \
        sorted((r["kind"], r["half"], r["slice"], r["index"]) for r in rows)
    assert sorted(chunks_taken(block, c)) == sorted(chunk for r in rows for chunk in chunks_of(c, r))
    done = block.taken("filled").columns()
    assert sorted(zip(done["half"].tolist(), done["value"].tolist(), done["lsb"].tolist(), strict=True)) == \
        sorted(f[2:] for f in fills)

