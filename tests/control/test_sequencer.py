"""Sequencer alone, everything around it made up: hand-over between the stages, every job completed once and in order,
every work item issued once, halves of the SRAMs, replays, barriers, errors by stage."""

from collections import Counter
from types import SimpleNamespace

import cocotb
import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.control.csr import completion_layout
from spatten_hw.control.job_reader import job_offer
from spatten_hw.control.sequencer import Sequencer
from spatten_hw.control.stages import FETCH_ERRORS, FRONT_ERRORS, WRITE_ERRORS
from spatten_hw.interface.activity import BackState, FrontState
from spatten_hw.interface.errors import ErrorCode
from spatten_hw.sim.testbench import Bench, pack, unpack
from spatten_hw.sim.testbench.runner import params, run_bench
from spatten_hw.stream import layouts

BASE = {"multipliers": 16, "min_dim": 4, "max_dim": 16, "max_tokens": 16, "sram_tokens": 16, "max_heads": 4,
        "max_group": 2, "slots": 4, "topk_lanes": 4, "channels": 1, "axi_data_bits": 64, "interleave_bytes": 32,
        "k_ports": 4, "v_ports": 4}
CONFIGS = {
    "four_lanes": BASE,
    "one_lane": BASE | {"multipliers": 8, "min_dim": 8, "max_dim": 8, "slots": 2, "k_ports": 1, "v_ports": 1},
}
V = FETCH_ERRORS.index(ErrorCode.READ_V)
STATE = FETCH_ERRORS.index(ErrorCode.READ_STATE)
FLAGS = ("barrier", "load_ids", "load_scores", "store_ids", "store_scores")
INPUTS, OUTPUTS = ["jobs", "op_done", "flat", "free"], ["completion", "op", "k_cmd", "v_cmd", "q_cmd", "qk_cmd", "meta"]
LAYOUTS = {"k_cmd": layouts.k_command, "v_cmd": layouts.v_command, "q_cmd": layouts.q_command,
           "qk_cmd": layouts.qk_command, "meta": layouts.slot_meta}
#: Jobs of a run, and cycles that they may take.
JOBS, LIMIT = 60, 60_000


def random_job(rng, c, number):
    """What a job says, what survives in it, what will go wrong, and how it must end."""
    j = SimpleNamespace(number=number, refused=rng.random() < 0.1, bad=rng.random() < 0.1, fetch=set(), write=set(),
                        **{f: int(rng.random() < 0.2) for f in FLAGS})
    j.generate = int(rng.random() < 0.65)
    j.group = rng.randint(1, c.max_group)
    j.causal = int(not j.generate and rng.random() < 0.5)
    j.k_lsb = rng.choice([0, 4])
    j.pair = int(j.generate and j.group == 1 and rng.random() < 0.5)
    count = c.max_heads // j.group
    j.heads = sorted(rng.sample(range(count), rng.randint(1, count)))
    j.ids = sorted(rng.sample(range(c.max_tokens), rng.randint(1, 6)))
    if rng.random() < 0.3:
        j.fetch = set(rng.sample([*FRONT_ERRORS, V], rng.randint(1, 2)))
    if rng.random() < 0.2:
        j.write = {rng.randrange(len(WRITE_ERRORS))}
    if j.refused:
        j.code = ErrorCode.RESERVED_BITS
    elif j.bad:
        j.fetch &= {STATE}
        j.code = ErrorCode.READ_STATE if j.fetch else ErrorCode.BAD_STATE
    else:
        causes = [FETCH_ERRORS[n] for n in sorted(j.fetch)] + [WRITE_ERRORS[n] for n in sorted(j.write)]
        j.code = causes[0] if causes else ErrorCode.OK
    j.runs = not j.refused and not j.bad
    # (query head, K/V head, query, keys) of every work item.
    j.items = [(h * j.group + g, h, 0 if j.generate else t, n + 1 if j.causal else len(j.ids))
               for h in j.heads for n, t in enumerate(j.ids[:1] if j.generate else j.ids)
               for g in range(j.group)] if j.runs else []
    return j


class World:
    """Pruner, fetcher, softmax, top-k, outputs and memory as the sequencer sees them, with what must hold of it."""

    def __init__(self, dut, bench, c, jobs):
        self.dut, self.bench, self.rng, self.c, self.jobs = dut, bench, bench.rng, c, jobs
        self.front = self.back = -1                # number of the job a stage has, or had last
        self.done = 0                              # completions seen
        self.seen = Counter()                      # payloads looked at, by stream
        self.issued = Counter()                    # items by job
        self.asked = []                            # pruner: [cycles left, finish, bad]
        self.fills = []                            # [cycles left, "k" or "v", half]
        self.full = {"k": set(), "v": set()}       # filled halves that are not yet used up
        self.filling = Counter()
        self.slots = {}                            # taken slot → item
        self.scoring, self.decided, self.behind = [], [], []
        self.half_left = [0, 0]                    # items between issue and P×V
        self.writes = 0
        self.fetch, self.write = set(), set()
        self.replays = self.flats = self.overlapped = self.retired = 0
        self.k_streams, self.k_wanted, self.q_wanted = [], [], []
        self.list_row = self.alive = self.heads = 0
        self.opened = False

    # -- what the sequencer does ------------------------------------------------------------------------

    def new(self, name):
        """Payloads of an output stream since the last look, unpacked."""
        items = self.bench.sinks[name].items
        fresh = items[self.seen[name]:]
        self.seen[name] = len(items)
        return [unpack(LAYOUTS[name](self.c), x) for x in fresh]

    def look(self):
        """Once a cycle, everything settled. Answers are given in `drive`."""
        d = self.dut
        self.list_row, self.opened = int(d.list_row.value), bool(int(d.open.value))
        self.retired += int(d.retire.value)
        self.look_at_stages()
        self.look_at_pruner()
        for name in ("k_cmd", "v_cmd"):
            for command in self.new(name):
                if name == "v_cmd" or command["fill"]:
                    self.fill(name[0], command)
                else:
                    self.k_streams.append(tuple(command[f] for f in ("kv_head", "rows", "lsb", "pair")))
        for meta in self.new("meta"):
            self.issue(meta)
        for command in self.new("qk_cmd"):
            self.score(command)

    def look_at_stages(self):
        d = self.dut
        self.done = len(self.bench.sinks["completion"].items)
        if int(d.front_clear.value):
            self.front += 1
            assert not self.scoring and not self.decided, "a job came before the one before was scored"
            self.fetch -= set(FRONT_ERRORS)
        if int(d.back_clear.value):
            self.back += 1
            assert self.back == self.front == self.done and not self.behind and not self.writes
            self.fetch -= {V}
            self.write.clear()
        front, back = int(d.front_state.value), int(d.back_state.value)
        if front != FrontState.IDLE:
            assert int(d.front_tag.value) == self.jobs[self.front].number + 7
        if back == BackState.ENDING:
            assert int(d.back_tag.value) == self.jobs[self.back].number + 7
        assert (front == FrontState.IDLE and back == BackState.IDLE) or int(d.busy.value)
        if self.back >= 0 and self.back != self.front and self.done <= self.back:
            self.overlapped += bool(self.scoring)
            assert not int(d.same.value) or int(d.front_clear.value)

    def look_at_pruner(self):
        for finish in self.bench.sinks["op"].items[self.seen["op"]:]:
            self.seen["op"] += 1
            j = self.jobs[self.front]
            if finish:
                assert self.issued[j.number] == len(j.items) and not self.scoring and not self.decided
            else:
                waits = j.barrier
                if self.back >= 0 and (j.load_ids or j.load_scores):
                    waits |= self.jobs[self.back].store_ids | self.jobs[self.back].store_scores
                assert not waits or self.done == self.front, "did not wait for the jobs before"
            self.asked.append([self.rng.randint(0, 6), finish, int(j.bad and not finish)])

    def fill(self, kind, command):
        j, half = self.jobs[self.front], command["half"]
        assert not j.generate and self.done == self.front, "a prompt began to load beside another job"
        number = self.filling[kind, j.number]
        self.filling[kind, j.number] += 1
        assert (command["kv_head"], half, command["rows"]) == (j.heads[number], number % 2, len(j.ids))
        assert half not in self.full[kind] and not self.half_left[half], "a half is filled while it is used"
        self.full[kind].add(half)
        self.fills.append([self.rng.randint(0, 15), kind, half])

    def issue(self, meta):
        j, slot, tag = self.jobs[self.front], meta["slot"], meta["tag"]
        want = j.items[self.issued[j.number]]
        assert (tag["head"], tag["kv_head"], tag["query"], meta["keys"]) == want, "not the next work item"
        self.issued[j.number] += 1
        assert slot not in self.slots, "a slot is given out twice"
        assert (tag["stream_v"], meta["progressive"]) == (j.generate, int(j.k_lsb != 0))
        if not j.generate:
            assert not any(f[2] == tag["half"] for f in self.fills), "an item came before its half was full"
            assert tag["half"] in self.full["k"] & self.full["v"] and tag["half"] == j.heads.index(tag["kv_head"]) % 2
            if self.issued[j.number] % (len(j.ids) * j.group) == 0:     # its head's last one
                self.full["k"].discard(tag["half"])
                self.full["v"].discard(tag["half"])
        self.half_left[tag["half"]] += 1
        self.slots[slot] = SimpleNamespace(half=tag["half"], kv_head=tag["kv_head"], keys=meta["keys"], flat=False)
        self.q_wanted.append((tag["head"], tag["query"], slot))

    def score(self, command):
        c, j = self.c, self.jobs[self.front]
        for n in range(command["gang"]):
            slot = (command["slot"] + n) % c.slots
            item = self.slots[slot]
            assert item.flat == bool(command["replay"]) and item.keys == command["keys"]
            assert command["stream"] == int(j.generate or item.flat)
            self.replays += command["replay"]
            self.scoring.append((slot, item))
        if command["stream"]:
            first = self.slots[command["slot"]]
            self.k_wanted.append((first.kv_head, command["keys"], command["replay"], command["pair"]))

    # -- what it is answered ----------------------------------------------------------------------------

    def drive(self):
        """Inputs of the next cycle."""
        d, rng, bench, c = self.dut, self.rng, self.bench, self.c
        pulses = dict.fromkeys(("k_filled", "v_filled", "listed", "value_done", "item_done"), 0)
        for reply in self.asked:
            reply[0] -= 1
        if self.asked and self.asked[0][0] < 0:
            _, finish, bad = self.asked.pop(0)
            j = self.jobs[self.front]
            if not finish:
                self.alive, self.heads = len(j.ids), sum(1 << h for h in j.heads)
                self.fetch |= j.fetch & set(FRONT_ERRORS)
            bench.sources["op_done"].items.append(bad)
        for fill in self.fills:
            fill[0] -= 1
        for kind in "kv":
            ready = next((f for f in self.fills if f[1] == kind and f[0] < 0), None)
            if ready:
                self.fills.remove(ready)
                pulses[f"{kind}_filled"] = 1
                getattr(d, f"{kind}_filled_half").value = ready[2]
        # A scored vector is decided: flat ones wait for a replay, others give their slot back.
        if self.scoring and rng.random() < 0.5:
            slot, item = self.scoring.pop(rng.randrange(len(self.scoring)))
            j = self.jobs[self.front]
            if j.k_lsb and not item.flat and rng.random() < 0.5:
                item.flat = True
                self.flats += 1
                bench.sources["flat"].items.append(slot)
            else:
                bench.sources["free"].items.append(slot)
                del self.slots[slot]
                self.decided.append(item)
        if self.decided and self.opened and rng.random() < 0.6:
            assert self.back == self.front, "probabilities pass into the job before"
            self.behind.append([self.decided.pop(0), False])
            pulses["listed"] = 1
            if rng.random() < 0.5 or not (self.decided or self.scoring):
                self.fetch |= self.jobs[self.back].fetch & {V}
        fresh = next((b for b in self.behind if not b[1]), None)
        # Slower than scoring, so that the next job's scores come beside them.
        if fresh and rng.random() < 0.3:
            fresh[1] = True
            pulses["value_done"] = 1
            d.value_done_half.value = fresh[0].half
            self.half_left[fresh[0].half] -= 1
        elif self.behind and self.behind[0][1] and rng.random() < 0.3:
            self.behind.pop(0)
            pulses["item_done"] = 1
            self.writes += 1
            self.write |= self.jobs[self.back].write
        elif self.writes and rng.random() < 0.1:
            self.writes -= 1
        for name, value in pulses.items():
            getattr(d, name).value = value
        row = self.jobs[max(self.front, 0)].ids[self.list_row * c.lanes:(self.list_row + 1) * c.lanes]
        d.list_ids.value = sum(v << (c.token_bits * i) for i, v in enumerate(row))
        d.alive_tokens.value, d.heads_alive.value = self.alive, self.heads
        d.write_idle.value = int(not self.writes)
        d.fetch_errors.value = sum(1 << n for n in self.fetch)
        d.write_errors.value = sum(1 << n for n in self.write)


@cocotb.test()
async def random_jobs(dut):
    c = SpAttenConfig(**CONFIGS[params()["name"]])
    bench = Bench(dut, INPUTS, OUTPUTS)
    rng = bench.rng
    for stall in (0.0, 0.5, 0.8):
        jobs = [random_job(rng, c, n) for n in range(JOBS)]
        await bench.start()
        world = World(dut, bench, c, jobs)
        bench.send("jobs", [pack(job_offer(c), {
            "job": {f: getattr(j, f) for f in (*FLAGS, "generate", "group", "causal", "k_lsb", "pair")},
            "scales": j.number % 4, "tag": j.number + 7, "error": j.code if j.refused else 0}) for j in jobs], stall)
        for name in ("op_done", "flat", "free"):
            bench.send(name, [])
        for name in OUTPUTS:
            bench.receive(name, 0 if name == "meta" else stall)
        done = bench.sinks["completion"]
        world.drive()
        first = bench.cycle
        while len(done.items) < len(jobs) or world.writes:
            assert bench.cycle - first < LIMIT, f"{bench.state()}; job {world.front} in front, {world.back} behind"
            await bench.step(world.look)
            world.drive()
        for _ in range(50):     # nothing comes behind
            await bench.step(world.look)
            world.drive()
        got = [unpack(completion_layout(), item) for item in done.items]
        assert [(g["tag"], g["error"]) for g in got] == [(j.number + 7, j.code) for j in jobs]
        assert world.retired == sum(not j.refused for j in jobs)
        assert world.issued == Counter({j.number: len(j.items) for j in jobs if j.items})
        q = [unpack(layouts.q_command(c), x) for x in bench.sinks["q_cmd"].items]
        assert [(x["head"], x["token"], x["slot"]) for x in q] == world.q_wanted
        assert world.k_streams == world.k_wanted
        assert world.replays == world.flats
        prompts = [j for j in jobs if j.runs and not j.generate]
        assert world.filling == {(kind, j.number): len(j.heads) for j in prompts for kind in "kv"}
        assert not int(dut.busy.value) and not int(dut.items.value) and not world.slots
        # The cases were there.
        assert world.flats > 5 and world.overlapped > 10
        assert {bool(j.write) for j in jobs if j.code == ErrorCode.OK or j.code in WRITE_ERRORS} == {False, True}
        assert sum(x[3] for x in world.k_streams) > 0, "no pair of heads"


@cocotb.test()
async def nothing_begins_unasked(dut):
    """A job that is not offered is not begun."""
    c = SpAttenConfig(**CONFIGS[params()["name"]])
    bench = Bench(dut, INPUTS, OUTPUTS)
    await bench.start()
    outputs = {name: bench.receive(name) for name in OUTPUTS}
    dut.write_idle.value = 1
    dut.alive_tokens.value, dut.heads_alive.value = 3, (1 << c.max_heads) - 1
    await bench.idle(100)
    assert not any(sink.items for sink in outputs.values()) and not int(dut.busy.value)


@pytest.mark.parametrize("name", CONFIGS)
def test_sequencer(name):
    run_bench(Sequencer(SpAttenConfig(**CONFIGS[name])), __name__, params={"name": name})
