"""JobReader: legal jobs decoded, illegal ones refused with the host's code, scales in a free set."""

import random
from types import SimpleNamespace

import cocotb
import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.control.decode import CLAMPED_FIELDS, HEAD_FIELDS
from spatten_hw.control.job_reader import JobReader, job_offer, push_layout
from spatten_hw.control.scale_table import SETS
from spatten_hw.control.validator import VALIDATE_CYCLES
from spatten_hw.interface.descriptor import (
    GIVE_BACK_SHIFT,
    HEADER_WORDS,
    SCALE_FIELDS,
    SCALE_WORDS,
    fields_of,
    scale_command_words,
)
from spatten_hw.interface.errors import ErrorCode
from spatten_hw.interface.validate import RANGES, check, reserved_mask, rules_of
from spatten_hw.presets import PRESETS
from spatten_hw.sim.testbench import Bench, pack, unpack
from spatten_hw.sim.testbench.runner import params, run_bench
from spatten_hw.stream.job_layouts import job_layout
from spatten_hw.stream.read_layouts import aux_command, aux_word

from .jobs import encode, legal_job, random_scales, spoil

TINY = SpAttenConfig(multipliers=16, chunk=4, max_dim=16, max_tokens=8, sram_tokens=4, max_heads=20,
                     max_group=3, slots=4, topk_lanes=4, channels=2, axi_data_bits=64, reads=4, pool_beats=16,
                     job_queue=3, axi_addr_bits=20)
CONFIGS = {
    "tiny": TINY,
    "big-addr": TINY.replace(axi_addr_bits=40, multipliers=32, topk_lanes=8, channels=8, max_tokens=64, sram_tokens=16,
                             max_dim=12, axi_data_bits=256, operand_bits=16),
    "one": TINY.replace(multipliers=8, chunk=8, max_dim=8, topk_lanes=1, max_heads=1, max_group=1,
                        axi_data_bits=32, pool_beats=32, channels=1, operand_bits=4, axi_addr_bits=16,
                        decision_rules=0),
    "queries": TINY.replace(chunk_queries=1),
}


def expected_job(c, f):
    """The decoded job of a legal descriptor; fields nobody uses are left out."""
    unused = {n for plane in "kv" if not f[f"{plane}_lsb"] for n in
              (f"{plane}_lsb_base", f"{plane}_lsb_head_stride", f"{plane}_lsb_token_stride")}
    unused |= {name for flag, name in (("load_ids", "ids_in"), ("store_ids", "ids_out"),
                                       ("load_scores", "scores_in"), ("store_scores", "scores_out")) if not f[flag]}
    job = {}
    for name, field in job_layout(c):
        if name.endswith("_head_stride") and name not in unused:
            job[name] = f[name] & ((1 << field.width) - 1)  # more bits are legal with a single head, which is 0
        elif name == "chunks":
            job[name] = f["dim"] // c.chunk
        elif name in CLAMPED_FIELDS:
            job[name] = min(f[name], c.max_heads if name in HEAD_FIELDS else c.max_tokens)
        elif name not in unused:
            job[name] = f[name]
    return job


class Rig:
    """Memory behind `cmd`/`words`, the scale table behind its write port, and a user of jobs."""

    def __init__(self, dut, c):
        self.dut, self.c = dut, c
        self.bench = Bench(dut, ["push", "words"], ["cmd", "job"])
        self.rng = self.bench.rng
        self.memory: dict[int, int] = {}
        self.bad: set[int] = set()
        self.table = [{} for _ in range(SETS)]
        self.running: list[int] = []       # sets of the jobs that run, the oldest first
        self.answered = 0
        self.reads = 0
        self.first = 0
        self.scale_words: int | None = None     # None: more than one descriptor is in memory

    def watch(self):
        if int(self.dut.scale_en.value):
            set_ = int(self.dut.scale_set.value)
            assert set_ not in self.running, "a running job's scales were overwritten"
            self.table[set_][int(self.dut.scale_head.value)] = int(self.dut.scale_entry.value)

    async def step(self):
        commands = self.bench.sinks["cmd"].items
        while self.answered < len(commands):
            cmd = unpack(aux_command(self.c), commands[self.answered])
            self.answered += 1
            assert cmd["addr"] % 8 == 0 and cmd["words"] >= 1
            self.check_scales((cmd["addr"] - self.first) // 8 - HEADER_WORDS, cmd["words"])
            for n in range(cmd["words"]):
                addr = cmd["addr"] + 8 * n
                assert addr in self.memory, "read outside the descriptor"
                self.bench.sources["words"].items.append(pack(aux_word(), {
                    "data": self.memory[addr], "last": n == cmd["words"] - 1, "error": addr in self.bad}))
                self.reads += 1
        await self.bench.step(self.watch)

    async def begin(self, stall=0.0):
        self.dut.retire.value = 0
        await self.bench.start()
        self.restart(stall)

    def restart(self, stall=0.0):
        self.bench.send("words", [], stall)
        self.bench.receive("cmd", stall)
        self.bench.receive("job", stall)
        self.answered = 0

    def check_scales(self, start, words):
        """Commands for scales are those that the golden model counts beats by. `start`: scale words before this one."""
        if self.scale_words is None or start < 0:
            return
        longest = scale_command_words(self.c)
        assert (start % longest, words) == (0, min(self.scale_words - start, longest))

    def put(self, addr, words):
        self.first, self.scale_words = addr, len(words) - HEADER_WORDS
        self.memory = {addr + 8 * n: w for n, w in enumerate(words)}

    async def one(self, addr, tag):
        """Runs one job through; returns its offer."""
        sink = self.bench.sinks["job"]
        first = len(sink.items)
        self.bench.send("push", [pack(push_layout(self.c), {"addr": addr, "tag": tag})])
        for _ in range(4000):
            if len(sink.items) > first:
                return unpack(job_offer(self.c), sink.items[first])
            await self.step()
        raise AssertionError(self.bench.state())

    async def retire(self):
        self.dut.retire.value = 1
        await self.step()
        self.dut.retire.value = 0


def descriptor_address(rng, c, words):
    last = (1 << c.axi_addr_bits) // 8 - words
    return 8 * rng.choice([0, last, rng.randrange(last + 1)]) + (rng.randrange(c.channels) << c.axi_addr_bits)


@cocotb.test()
async def jobs_legal_and_not(dut):
    c = CONFIGS[params()["config"]]
    rng = random.Random(cocotb.RANDOM_SEED)
    rig = Rig(dut, c)
    await rig.begin()
    seen = {}
    for n in range(params()["jobs"]):
        if n % 10 == 0:
            stall = rng.choice([0.0, 0.0, 0.3])
            rig.restart(stall)
        fields = legal_job(rng, c)
        assert check(c, fields) == []
        if n % 4:
            fields = spoil(rng, c, fields)
        heads = fields["heads"] * fields["group"]
        scales = random_scales(rng, heads if heads <= c.max_heads else 1, fields["give_back"])
        words = encode(fields, scales)
        addr = descriptor_address(rng, c, len(words))
        if n % 16 == 1:  # a scale table that would begin inside, but end beyond the address space
            addr = (1 << c.addr_bits) - 8 * HEADER_WORDS - 8 * rng.randrange(2 * len(scales) + 1)
        rig.put(addr, words)
        rig.table = [{} for _ in range(SETS)]
        rig.reads = 0
        broken = check(c, fields, scales, addr)
        offer = await rig.one(addr, n)
        first = broken[0] if broken else ErrorCode.OK
        seen[first] = seen.get(first, 0) + 1
        assert offer["error"] == first, f"{ErrorCode(offer['error'])!r}, host says {broken}: {fields}"
        assert offer["tag"] == n
        if broken:
            assert rig.reads == HEADER_WORDS and not any(rig.table)
            waited = rig.bench.sinks["job"].cycles[-1] - rig.bench.sources["words"].cycles[-1]
            assert stall or waited == VALIDATE_CYCLES + 4
        else:
            want = expected_job(c, fields)
            assert {k: offer["job"][k] for k in want} == want
            table = rig.table[offer["scales"]]
            assert len(table) == len(scales) and sum(map(bool, rig.table)) == 1
            assert all({f.name: table[h] >> o & ((1 << f.width) - 1)
                        for f, o in zip(SCALE_FIELDS, (0, 17, 22, 28, 45), strict=True)} == scales[h] for h in table)
        if not broken:
            await rig.retire()
    codes = {r.code for r in (*rules_of(c), *RANGES)}
    dut._log.info("codes seen: %s; missing: %s", seen, sorted(codes - set(seen)))
    assert len(codes - set(seen)) <= params()["missing"] and seen[ErrorCode.OK] > 10


@cocotb.test()
async def read_errors_and_reserved_bits(dut):
    c = CONFIGS[params()["config"]]
    rng = random.Random(cocotb.RANDOM_SEED + 1)
    rig = Rig(dut, c)
    await rig.begin(0.2)
    reached = set()
    for n in range(60):
        fields = legal_job(rng, c)
        scales = random_scales(rng, fields["heads"] * fields["group"], fields["give_back"])
        words = encode(fields, scales)
        addr = descriptor_address(rng, c, len(words))
        want = ErrorCode.OK
        kind, in_header = n % 4, n // 4 % 2
        masks = [reserved_mask(fields_of(c), w) if w < HEADER_WORDS
                 else reserved_mask(SCALE_FIELDS, (w - HEADER_WORDS) % SCALE_WORDS) for w in range(len(words))]
        at = rng.choice([w for w, mask in enumerate(masks) if (w < HEADER_WORDS) == in_header and (mask or kind != 1)])
        rig.bad = set()
        if kind == 0:
            rig.bad, want = {addr + 8 * at}, ErrorCode.READ_DESCRIPTOR
        elif kind == 1:
            words[at] |= 1 << rng.choice([b for b in range(64) if masks[at] >> b & 1])
            want = ErrorCode.RESERVED_BITS if in_header else ErrorCode.BAD_SCALE
        elif kind == 2 and fields["give_back"]:
            head = rng.randrange(len(scales))
            scales[head]["out_shift"] = rng.choice([0, GIVE_BACK_SHIFT - 1])
            words, at, want = encode(fields, scales), HEADER_WORDS + SCALE_WORDS * head, ErrorCode.BAD_GIVE_BACK
            assert check(c, fields, scales, addr) == [want]
        rig.put(addr, words)
        rig.reads = 0
        offer = await rig.one(addr, n)
        assert offer["error"] == want, (offer["error"], want, at)
        reached.add((want, at < HEADER_WORDS))
        if want != ErrorCode.OK and at < HEADER_WORDS:
            assert rig.reads == HEADER_WORDS
        if want == ErrorCode.OK:
            await rig.retire()
    assert reached >= {(ErrorCode.READ_DESCRIPTOR, True), (ErrorCode.RESERVED_BITS, True),
                       (ErrorCode.READ_DESCRIPTOR, False), (ErrorCode.BAD_SCALE, False),
                       *([(ErrorCode.BAD_GIVE_BACK, False)] if c.decision_rules else [])}, reached
    assert ErrorCode.OK in {code for code, _ in reached}


@cocotb.test()
async def bad_addresses_read_nothing(dut):
    c = CONFIGS[params()["config"]]
    rig = Rig(dut, c)
    await rig.begin()
    for n, addr in enumerate([1, 4, 12, (1 << c.addr_bits) - 8, (1 << c.addr_bits) - 8 * HEADER_WORDS + 8]):
        offer = await rig.one(addr, n)
        assert offer["error"] == ErrorCode.DESCRIPTOR_ADDRESS and rig.reads == 0
        assert check(c, {}, descriptor=addr)[0] == ErrorCode.DESCRIPTOR_ADDRESS


@cocotb.test()
async def the_next_job_waits_for_its_set_only(dut):
    """As long as a set of scales is free, the next job is read and offered; with all taken, it waits."""
    c = CONFIGS[params()["config"]]
    rng = random.Random(cocotb.RANDOM_SEED + 2)
    rig = Rig(dut, c)
    await rig.begin()
    step, at = 1 << 11, {}
    total = c.job_queue + 4
    for n in range(total):
        fields = legal_job(rng, c)
        scales = random_scales(rng, fields["heads"] * fields["group"], fields["give_back"])
        at[n] = SimpleNamespace(addr=n * step, fields=fields, scales=scales)
        rig.memory |= {n * step + 8 * i: w for i, w in enumerate(encode(fields, scales))}
    push = rig.bench.send("push", [pack(push_layout(c), {"addr": j.addr, "tag": n}) for n, j in at.items()])
    sink = rig.bench.receive("job", 1.0)
    for _ in range(600):
        await rig.step()
    assert push.at == c.job_queue + 2 and int(dut.level.value) == c.job_queue + 2
    waited = set()
    for n, j in at.items():
        sink.stall = 0.0
        for _ in range(2000):
            if len(sink.items) > n:
                break
            await rig.step()
        sink.stall = 1.0
        offer = unpack(job_offer(c), sink.items[n])
        assert (offer["tag"], offer["error"]) == (n, 0)
        rig.running.append(offer["scales"])
        assert len(set(rig.running)) == len(rig.running)
        for _ in range(500):  # time for the next to be read; its scales must not touch those of running jobs
            await rig.step()
        full = len(rig.running) == SETS
        if n + 1 < total:
            assert int(dut.job__valid.value) == (not full), "the next job is ready if and only if a set is free"
            waited.add(full)
        assert len(rig.table[offer["scales"]]) >= len(j.scales)
        if full:
            rig.running.pop(0)
            await rig.retire()
            await rig.step()
    assert int(dut.level.value) == 0 and waited == {False, True}


@pytest.mark.parametrize("name", CONFIGS)
def test_job_reader(name):
    # `missing`: codes that so many random jobs may leave out.
    jobs, missing = {"tiny": (1200, 4), "queries": (600, 17)}.get(name, (200, 17))
    run_bench(JobReader(CONFIGS[name]), __name__, params={"config": name, "jobs": jobs, "missing": missing})


def test_presets_take_legal_jobs():
    rng = random.Random(1)
    for c in PRESETS.values():
        for _ in range(200):
            assert check(c, legal_job(rng, c)) == []


def test_host_check_lists_every_broken_rule():
    f = legal_job(random.Random(2), TINY) | {"dim": 3, "threshold": 5000, "heads": 0}
    assert {ErrorCode.BAD_DIM, ErrorCode.BAD_THRESHOLD, ErrorCode.ZERO_HEADS} <= set(check(TINY, f))
    assert check(TINY, {**legal_job(random.Random(2), TINY), "q_bits": 256})[0] == ErrorCode.RESERVED_BITS
