"""A fetcher with survivor-list memories, and the expected rows of its commands."""

from __future__ import annotations

import random

from amaranth import Module, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, connect, flipped

from spatten_hw.config import LSB_WIDTH, PLANE_WIDTHS, PROB_BITS, SpAttenConfig
from spatten_hw.fetch.fetcher import Fetcher
from spatten_hw.sim.golden.fetch import plane_beats, row_addresses
from spatten_hw.sim.testbench import Bench, pack
from spatten_hw.sim.testbench.axi import AxiMemory, axi_inputs, axi_outputs
from spatten_hw.sim.testbench.axi_watch import watch_streams
from spatten_hw.stream.job_layouts import job_layout
from spatten_hw.stream.layouts import aux_command, tag_layout

from .rows import both_rows, elements, lsb_row, msb_row, pack_fields

STREAMS_IN = ("k_cmd", "v_cmd", "v_kept", "q_cmd", "desc_cmd", "state_cmd")
STREAMS_OUT = ("k_rows", "v_rows", "q_rows", "desc_words", "state_words")
CLASSES = ("beats_q", "beats_k_msb", "beats_k_lsb", "beats_v_msb", "beats_v_lsb", "beats_other")
SIZE = 1 << 14


class FetcherWithLists(wiring.Component):
    """`Fetcher` and a survivor list (written through `list_*`) that K and V read."""

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        self.fetcher = inner = Fetcher(c)
        kept = {name: member for name, member in inner.signature.members.items() if "list" not in name}
        ids = data.ArrayLayout(unsigned(c.token_bits), c.lanes)
        super().__init__({**kept, "list_en": In(1), "list_row": In(len(inner.k_list_row)), "list_ids": In(ids)})

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.fetcher = fetcher = self.fetcher
        for side in "kv":
            ids = data.ArrayLayout(unsigned(c.token_bits), c.lanes)
            store = memory.Memory(shape=ids, depth=c.max_rows, init=[])
            m.submodules[f"{side}_list"] = store
            write, read = store.write_port(), store.read_port(transparent_for=())
            m.d.comb += [
                write.en.eq(self.list_en), write.addr.eq(self.list_row), write.data.eq(self.list_ids),
                read.en.eq(1), read.addr.eq(getattr(fetcher, f"{side}_list_row")),
                getattr(fetcher, f"{side}_list_ids").eq(read.data),
            ]
        for name, member in self.signature.members.items():
            if name.startswith("list_"):
                continue
            mine, inner = getattr(self, name), getattr(fetcher, name)
            if not member.is_port:
                pairs = zip(mine, inner, strict=True) if member.dimensions else [(mine, inner)]
                for outer, port in pairs:
                    connect(m, *((flipped(outer), port) if name in STREAMS_IN or name == "r"
                                 else (port, flipped(outer))))
            elif member.flow == In:
                m.d.comb += inner.eq(mine)
            else:
                m.d.comb += mine.eq(inner)
        return m




class FetchBench:
    """Drives a `FetcherWithLists`: jobs, lists, commands; computes what must come out."""

    def __init__(self, dut, config: SpAttenConfig):
        self.dut, self.c = dut, config
        self.bench = Bench(dut, [*STREAMS_IN, *axi_inputs(config)], [*STREAMS_OUT, *axi_outputs(config)])
        watch_streams(self.bench, config)
        self.rng: random.Random = self.bench.rng
        self.beats = dict.fromkeys(CLASSES, 0)

    async def start(self, **memory) -> None:
        d = self.dut
        for s in (d.list_en, d.list_row, d.list_ids, d.front_clear, d.back_clear, d.job, d.back_job):
            s.value = 0
        d.same.value = 1
        await self.bench.start()
        self.memory = AxiMemory(self.bench, self.c, SIZE, **memory)
        self.memory.data[:] = self.rng.randbytes(SIZE)
        self.data = bytes(self.memory.data)

    def watch(self) -> None:
        self.memory.tick()
        for name in CLASSES:
            self.beats[name] += int(getattr(self.dut, name).value)

    async def run(self, until, limit: int) -> int:
        return await self.bench.run(until, limit, self.watch)

    async def settle(self) -> None:
        """Until nothing is in flight and the counters have seen everything."""
        for _ in range(12):
            await self.bench.step(self.watch)
        await self.run(lambda: int(self.dut.idle.value) == 1, 500)

    async def set_job(self, dim: int, *, progressive: bool | None = None, dense: bool = False) -> dict:
        """A random job of head dimension `dim`; `dense`: full-width rows back to back."""
        c, rng = self.c, self.rng
        job = {"dim": dim, "dim_log2": c.dims.index(dim)}
        for x in "qkv":
            room = c.operand_bits - LSB_WIDTH >= PLANE_WIDTHS[0]
            wants = rng.random() < 0.6 if progressive is None else progressive
            lsb = LSB_WIDTH if x != "q" and room and wants else 0
            width = c.operand_bits - lsb if dense else rng.choice(
                [w for w in PLANE_WIDTHS if w <= c.operand_bits - lsb])
            planes = {"q": {"q": width}}.get(x, {f"{x}_msb": width, f"{x}_lsb": lsb})
            job.update({"q_bits": width} if x == "q" else {f"{x}_msb": width, f"{x}_lsb": lsb})
            for plane, bits in planes.items():
                least = dim * bits // 8
                job[f"{plane}_token_stride"] = least if dense else least + rng.randrange(5)
                job[f"{plane}_head_stride"] = 16 if dense else rng.randrange(1200)
                job[f"{plane}_base"] = 0 if dense else rng.randrange(3000)
        job["pair"] = int(2 * dim <= c.max_dim and rng.random() < 0.5)
        layout = job_layout(c)
        bits = pack(layout, {k: v for k, v in job.items() if k in layout.members})
        self.dut.job.value = self.dut.back_job.value = bits
        self.job = job
        await self.bench.idle(3)
        return job

    async def set_list(self, ids: list[int]) -> None:
        c = self.c
        self.ids = ids
        for row in range(0, -(-len(ids) // c.lanes)):
            part = ids[row * c.lanes:(row + 1) * c.lanes]
            self.dut.list_en.value = 1
            self.dut.list_row.value = row
            self.dut.list_ids.value = pack_fields(*((i, c.token_bits) for i in part))
            await self.bench.step(self.watch)
        self.dut.list_en.value = 0

    # -- commands -------------------------------------------------------------------------------------

    def head_base(self, plane: str, head: int) -> tuple[int, int]:
        """(base, number of head strides behind it) of a head: K's MSB rows may lie in pairs."""
        j = self.job
        if plane == "k_msb" and j["pair"]:
            return j["k_msb_base"] + head % 2 * (j["dim"] * j["k_msb"] // 8), head // 2
        return j[f"{plane}_base"], head

    def addr(self, plane: str, head: int, token: int) -> int:
        j = self.job
        base, number = self.head_base(plane, head)
        return int(row_addresses(base, number, j[f"{plane}_head_stride"], [token], j[f"{plane}_token_stride"],
                                 self.c)[0])

    def plane_beats(self, plane: str, head: int, ids: list[int], both: int = 0) -> int:
        """Beats of the rows of a head; `both`: of those of the next head, too, which lie beside them."""
        j = self.job
        bits = j["q_bits"] if plane == "q" else j[plane]
        base, number = self.head_base(plane, head)
        return plane_beats(base, number, j[f"{plane}_head_stride"], ids, j[f"{plane}_token_stride"],
                           j["dim"] << both, bits, self.c)

    def k_cmd(self, head: int, rows: int, lsb: int, fill: int, half: int, pair: int = 0) -> int:
        c = self.c
        return pack_fields((head, c.head_bits), (rows, c.count_bits), (lsb, 1), (fill, 1), (half, 1), (pair, 1))

    def v_cmd(self, head: int, rows: int, half: int) -> int:
        return pack_fields((head, self.c.head_bits), (rows, self.c.count_bits), (half, 1))

    def q_cmd(self, head: int, token: int, slot: int) -> int:
        return pack_fields((head, self.c.head_bits), (token, self.c.token_bits), (slot, self.c.slot_bits))

    def aux_cmd(self, addr: int, words: int) -> int:
        return pack(aux_command(self.c), {"addr": addr, "words": words})

    def kept_rows(self, head: int, ids: list[int], refetched: int) -> list[int]:
        """The `kept_row`s of one vector."""
        c = self.c
        tag = pack(tag_layout(c), {"head": 0, "kv_head": head, "query": 0, "half": 0, "stream_v": 1,
                                   "refetched": refetched})
        out = []
        for at in range(0, len(ids), c.topk_lanes):
            part = ids[at:at + c.topk_lanes]
            pad = part + [0] * (c.topk_lanes - len(part))
            out.append(pack_fields(
                *((self.rng.getrandbits(PROB_BITS), PROB_BITS) for _ in pad), *((i, c.token_bits) for i in pad),
                (len(part), c.topk_lanes.bit_length()), (at + len(part) >= len(ids), 1), (0, c.count_bits),
                (tag, tag_layout(c).size)))
        return out

    # -- expected rows --------------------------------------------------------------------------------

    def k_row(self, head: int, token: int, lsb: int) -> list[int]:
        j = self.job
        if lsb:
            return lsb_row(self.data, self.addr("k_lsb", head, token), j["dim"])
        return msb_row(self.data, self.addr("k_msb", head, token), j["dim"], j["k_msb"], j["k_lsb"])

    def v_row(self, head: int, token: int, refetched: int) -> list[int]:
        j = self.job
        msb = self.addr("v_msb", head, token)
        if refetched and j["v_lsb"]:
            return both_rows(self.data, msb, self.addr("v_lsb", head, token), j["dim"], j["v_msb"])
        return msb_row(self.data, msb, j["dim"], j["v_msb"], j["v_lsb"], mid=True)

    def groups(self, rows: list[list[int]], fill: int, half: int, chunk: int | None = None) -> list[tuple]:
        """Groups (rows, last, fill, half) of a vector; `chunk`: it comes in pieces of so many rows."""
        per_group = self.c.rows_per_cycle(self.job["dim"])
        out = []
        chunk = chunk or max(1, len(rows))
        for start in range(0, max(1, len(rows)), chunk):
            piece = rows[start:start + chunk]
            for at in range(0, max(1, len(piece)), per_group):
                last = start + at + per_group >= len(rows) and at + per_group >= len(piece)
                out.append((piece[at:at + per_group], int(last), fill, half))
        return out

    def unpack_group(self, bits: int) -> tuple:
        c = self.c
        width = self.job["dim"] * c.operand_bits
        rest = bits >> (c.multipliers * c.operand_bits)
        count = rest & ((1 << c.lane_count_bits) - 1)
        rest >>= c.lane_count_bits
        rows = [elements(bits >> (r * width), self.job["dim"], c.operand_bits) for r in range(count)]
        return rows, rest & 1, rest >> 1 & 1, rest >> 2 & 1
