"""SharedReads with a memory behind it that answers at once, and what it should ask for."""

from functools import reduce
from operator import add

from amaranth import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from spatten_hw.config import clog2
from spatten_hw.fetch.fill_walk import filled_layout
from spatten_hw.fetch.plane import plane_address
from spatten_hw.fetch.row_reads import PLANES
from spatten_hw.fetch.shared_reads import SharedReads, read_classes
from spatten_hw.sim.harness.payload import pack_one
from spatten_hw.stream.layouts import fill_command, q_command
from spatten_hw.stream.read_layouts import ReadKind, aux_command, aux_word, read_request, shared_note


class Answered(wiring.Component):
    """SharedReads whose rows come back a few cycles after they were asked for. A word is its own address, the channel
    in the upper 16 bits; every eighth beat (number 3, 11, …) has an error."""

    def __init__(self, config):
        self.config = c = config
        super().__init__({
            "cmd": In(stream.Signature(aux_command(c))).array(2), "words": Out(stream.Signature(aux_word())).array(2),
            "q_cmd": In(stream.Signature(q_command(c))), "fill": In(stream.Signature(fill_command(c))),
            "filled": Out(stream.Signature(filled_layout())),
            "reads": Out(stream.Signature(read_request(c, shared_note(c)))).array(c.channels),
            "planes": In(data.ArrayLayout(plane_address(c), len(PLANES))),
            "list_row": Out(c.row_bits), "list_ids": In(data.ArrayLayout(unsigned(c.token_bits), c.slices)),
            "word_error": Out(2), "waits": Out(read_classes()), "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        c = self.config
        m.submodules.dut = dut = SharedReads(c)
        for n in range(2):
            connect(m, flipped(self.cmd[n]), dut.cmd[n])
            connect(m, dut.words[n], flipped(self.words[n]))
        for name in ("q_cmd", "fill"):
            connect(m, flipped(getattr(self, name)), getattr(dut, name))
        connect(m, dut.filled, flipped(self.filled))
        m.d.comb += [
            dut.planes.eq(self.planes), self.list_row.eq(dut.list_row), dut.list_ids.eq(self.list_ids),
            self.word_error.eq(dut.word_error), self.waits.eq(dut.waits), self.idle.eq(dut.idle),
        ]
        taken = []
        for mine, his in zip(self.reads, dut.reads, strict=True):
            connect(m, his, flipped(mine))
            taken.append(his.valid & his.ready)
        notes = [r.payload.note for r in dut.reads]

        # Q rows and rows of fills: counted, given back one per cycle.
        queries = Signal(16)
        m.d.sync += [
            queries.eq(queries - dut.query_returned
                       + reduce(add, [t & (n.kind == ReadKind.QUERY) for t, n in zip(taken, notes, strict=True)])),
        ]
        m.d.comb += dut.query_returned.eq(queries != 0)
        for number in reversed(range(4)):
            kinds = (ReadKind.VALUE, ReadKind.VALUE_LSB) if number & 2 else (ReadKind.KEY, ReadKind.KEY_LSB)
            owed = Signal(16, name=f"owed{number}")
            back = Signal(name=f"back{number}")
            more = reduce(add, [t & (n.half == (number & 1)) & ((n.kind == kinds[0]) | (n.kind == kinds[1]))
                                for t, n in zip(taken, notes, strict=True)])
            m.d.sync += owed.eq(owed + more - back)
            with m.If(owed != 0):
                m.d.comb += [
                    dut.fill_returned.valid.eq(1), dut.fill_returned.payload.half.eq(number & 1),
                    dut.fill_returned.payload.value.eq(number >> 1),
                ]
            m.d.comb += back.eq((owed != 0) & dut.fill_returned.valid
                                & (Cat(dut.fill_returned.payload.half, dut.fill_returned.payload.value) == number))

        # Words: beats of the one read outstanding.
        addr, left, channel = Signal(c.axi_addr_bits), Signal(8), Signal(16)
        for n, (t, note) in enumerate(zip(taken, notes, strict=True)):
            with m.If(t & (note.kind == ReadKind.WORDS)):
                m.d.sync += [addr.eq(dut.reads[n].payload.addr), left.eq(dut.reads[n].payload.beats), channel.eq(n)]
        with m.If(dut.beats.valid & dut.beats.ready):
            m.d.sync += [addr.eq(addr + c.beat_bytes), left.eq(left - 1)]

        def word(at):
            return Cat(at, Const(0, 48 - c.axi_addr_bits), channel)
        if c.axi_data_bits >= 64:
            beat = Cat(word((addr + 8 * n)[:c.axi_addr_bits]) for n in range(c.axi_data_bits // 64))
        else:
            whole = Signal(64)
            m.d.comb += whole.eq(word(Cat(Const(0, 3), addr[3:])))
            beat = Mux(addr[2], whole[32:], whole[:32])
        m.d.comb += [
            dut.beats.valid.eq(left != 0), dut.beats.payload.data.eq(beat),
            dut.beats.payload.error.eq((addr >> clog2(c.beat_bytes))[:3] == 3),
        ]
        return m


class Asked:
    """Planes and a dense list at random for `block`, and the requests that commands should become; `most`: beats of a
    row."""

    def __init__(self, c, rng, block, survivors, most=None):
        self.c, self.survivors = c, survivors
        beat = c.beat_bytes
        self.planes = [{"base": int(rng.integers(0, (1 << c.axi_addr_bits) // beat)) * beat,
                        "head_stride": int(rng.integers(0, (1 << min(32, c.axi_addr_bits)) // beat)) * beat,
                        "token_stride": int(rng.integers(0, (1 << 16) // beat)) * beat,
                        "beats": int(rng.integers(1, (most or c.max_row_beats) + 1))} for _ in PLANES]
        size = plane_address(c).size
        block.set(planes=sum(pack_one(plane_address(c), p) << (n * size) for n, p in enumerate(self.planes)))
        rows = [survivors[n:n + c.slices] for n in range(0, len(survivors), c.slices)]
        block.lookup("list_row", "list_ids", [sum(int(t) << (n * c.token_bits) for n, t in enumerate(r)) for r in rows])

    def row(self, kind, head, token, index, half=0, slice_=0):
        """(channel, request)"""
        c, p = self.c, self.planes[kind]
        addr = p["base"] + head * p["head_stride"] + token // c.channels * p["token_stride"]
        return (token + head) % c.channels, (addr % (1 << c.axi_addr_bits), p["beats"], kind, half, slice_, index)

    def query(self, head, token, slot):
        return self.row(0, head, token, slot)

    def fill(self, kv_head, rows, half, value, lsb):
        return [self.row((1 + value) + 2 * lsb, kv_head, int(self.survivors[p]), p // self.c.slices, half,
                         (p + kv_head) % self.c.slices) for p in range(rows)]


def requests(block, c):
    """What each channel was asked for, in order."""
    out = []
    for n in range(c.channels):
        got = block.taken(f"reads__{n}").columns()
        note = got["note"]
        zeros = got["beats"] * 0
        kind = [int(getattr(k, "value", k)) for k in note["kind"]]
        out.append(list(zip(got["addr"].tolist(), got["beats"].tolist(), kind, note["half"].tolist(),
                            note.get("slice", zeros).tolist(), note["index"].tolist(), strict=True)))
    return out
