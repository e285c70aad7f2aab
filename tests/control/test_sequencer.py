"""Sequencer alone, everything around it made up: hand-over between the stages, every job completed once and in order,
every work item issued once, halves of the SRAMs, second passes, barriers, errors by stage."""

from collections import Counter
from types import SimpleNamespace

import cocotb
import pytest

from spatten_hw.config import SpAttenConfig
from spatten_hw.control.csr import completion_layout
from spatten_hw.control.job_reader import job_offer
from spatten_hw.control.loader import filled_notice
from spatten_hw.control.sequencer import Sequencer
from spatten_hw.control.stages import FETCH_ERRORS, FRONT_ERRORS, WRITE_ERRORS
from spatten_hw.interface.activity import BackState, FrontState
from spatten_hw.interface.errors import ErrorCode
from spatten_hw.sim.testbench import Bench, pack, unpack
from spatten_hw.sim.testbench.runner import params, run_bench
from spatten_hw.softmax.rows import decision_notice
from spatten_hw.stream import layouts

BASE = SpAttenConfig(multipliers=16, chunk=4, max_dim=16, max_tokens=16, sram_tokens=16, max_heads=4, max_group=2,
                     slots=4, topk_lanes=4, channels=1, axi_data_bits=64)
CONFIGS = {"four_slices": BASE,
           "one_slice": BASE.replace(multipliers=8, chunk=8, max_dim=8, slots=2)}
V = FETCH_ERRORS.index(ErrorCode.READ_V)
STATE = FETCH_ERRORS.index(ErrorCode.READ_STATE)
FLAGS = ("barrier", "load_ids", "load_scores", "store_ids", "store_scores")
INPUTS = ["jobs", "op_done", "decided", "free", "filled"]
OUTPUTS = ["completion", "op", "fill", "q_cmd", "k_walk", "score_cmd", "meta"]
LAYOUTS = {"fill": layouts.fill_command, "q_cmd": layouts.q_command, "k_walk": layouts.key_walk_command,
           "score_cmd": layouts.score_command, "meta": layouts.slot_meta}
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
    j.v_lsb = rng.choice([0, 4]) if j.k_lsb else 0
    count = c.max_heads // j.group
    j.heads = sorted(rng.sample(range(count), rng.randint(1, count)))
    j.ids = sorted(rng.sample(range(c.max_tokens), rng.randint(1, 6)))
    j.counts = [rng.randint(0, c.max_rows) for _ in range(c.slices)]
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
    # (query head, K/V head, position) of the first work item of every query.
    j.items = [(h * j.group + g, h, n) for h in j.heads for g in range(j.group)
               for n in range(1 if j.generate else len(j.ids))] if j.runs else []
    return j


class World:
    """Pruner, fetcher, softmax, top-k, outputs and memory as the sequencer sees them, with what must hold of it."""

    def __init__(self, dut, bench, c, jobs):
        self.dut, self.bench, self.rng, self.c, self.jobs = dut, bench, bench.rng, c, jobs
        self.front = self.back = -1                # number of the job a stage has, or had last
        self.done = 0                              # completions seen
        self.seen = Counter()                      # payloads looked at, by stream
        self.issued = Counter()                    # first items by job
        self.asked = []                            # pruner: [cycles left, finish, bad]
        self.fills = []                            # [cycles left, command]
        self.values = set()                        # halves of the V SRAM that are full
        self.filling = Counter()                   # fills by job, whether it is V's, and LSB
        self.slots = {}                            # taken slot → item
        self.numbers = set()                       # taken item numbers
        self.again = {}                            # query head → positions of its flat queries, as decided
        self.lsb_head = None                       # head whose LSBs are in the SRAMs, or will be
        self.unscored = []                         # slots of commands that came before their `meta`
        self.scoring, self.waits, self.decided, self.behind = [], [], [], []
        self.half_left = [0, 0]                    # items between issue and P×V
        self.writes = 0
        self.fetch, self.write = set(), set()
        self.flats = self.walked = self.refetched = self.overlapped = self.retired = 0
        self.counted = Counter()
        self.k_walks, self.q_wanted = [], []
        self.running = 0                           # walks whose rows are not all asked for
        self.list_row = self.alive = self.heads = self.counts = 0
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
        for name in ("issued", "replayed"):
            self.counted[name] += int(getattr(d, name).value)
        for command in self.new("fill"):
            self.fill(command)
        for meta in self.new("meta"):
            self.issue(meta)
        for command in self.new("k_walk"):
            self.walk(command)
        self.unscored += [command["slot"] for command in self.new("score_cmd")]
        while self.unscored and self.unscored[0] in self.slots:
            self.scoring.append(self.slots[self.unscored.pop(0)])

    def look_at_stages(self):
        d = self.dut
        self.done = len(self.bench.sinks["completion"].items)
        if int(d.front_clear.value):
            self.front += 1
            assert not self.scoring and not self.decided, "a job came before the one before was scored"
            self.fetch -= set(FRONT_ERRORS)
            self.lsb_head = None
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
                assert not any(self.again.values()), "flat queries were forgotten"
            else:
                waits = j.barrier
                if self.back >= 0 and (j.load_ids or j.load_scores):
                    waits |= self.jobs[self.back].store_ids | self.jobs[self.back].store_scores
                assert not waits or self.done == self.front, "did not wait for the jobs before"
            self.asked.append([self.rng.randint(0, 6), finish, int(j.bad and not finish)])

    def fill(self, command):
        j, half, value, lsb = (self.jobs[self.front], *(command[f] for f in ("half", "value", "lsb")))
        assert not j.generate and self.done == self.front, "a prompt began to load beside another job"
        number = self.filling[j.number, value, lsb]
        self.filling[j.number, value, lsb] += 1
        assert command["rows"] == len(j.ids)
        if lsb:
            head = j.heads.index(command["kv_head"])
            assert half == head % 2 and self.again[command["kv_head"]] and (not value or j.v_lsb)
            self.lsb_head = command["kv_head"]
        else:
            assert (command["kv_head"], half) == (j.heads[number], number % 2)
            if not value:
                gone = j.items[:max(0, number - 1) * len(j.ids) * j.group]      # of all heads but the one before
                assert self.issued[j.number] >= len(gone) and not self.half_left[half], "a half is filled while in use"
                assert not any(self.again.get(kv_head) for _, kv_head, _ in gone)
                self.values.discard(half)
        self.fills.append([self.rng.randint(0, 15), command])

    def keys_of(self, j, kv_head, position):
        """Keys in every slice."""
        n = self.c.slices
        if j.generate:
            return [j.counts[(s - kv_head) % n] for s in range(n)]
        keys = position + 1 if j.causal else len(j.ids)
        return [len(range((s - kv_head) % n, keys, n)) for s in range(n)]

    def issue(self, meta):
        j, slot, tag = self.jobs[self.front], meta["slot"], meta["tag"]
        if tag["refetched"]:
            head, kv_head = tag["head"], tag["kv_head"]
            position = self.again[kv_head].pop(0)
            assert self.lsb_head == kv_head and not any(f[1]["lsb"] for f in self.fills), "LSBs are not there"
            assert head == j.items[self.issued[j.number] - 1][0]
            self.refetched += 1
        else:
            head, kv_head, position = j.items[self.issued[j.number]]
            self.issued[j.number] += 1
        assert (tag["head"], tag["kv_head"]) == (head, kv_head), "not the next work item"
        assert tag["query"] == (0 if j.generate else j.ids[position])
        assert list(meta["keys"]) == self.keys_of(j, kv_head, position)
        assert slot not in self.slots and tag["item"] not in self.numbers, "a number is given out twice"
        progressive = int(j.k_lsb != 0 and not tag["refetched"])
        assert (tag["stream"], meta["progressive"]) == (j.generate, progressive)
        half = tag["half"]
        if not j.generate:
            assert half == j.heads.index(kv_head) % 2
            assert not any(f[1]["half"] == half and not f[1]["value"] for f in self.fills), "the half is not full"
        self.half_left[half] += 1
        self.numbers.add(tag["item"])
        self.slots[slot] = SimpleNamespace(slot=slot, half=half, tag=tag, position=position, progressive=progressive,
                                           flat=False, done=False)
        self.q_wanted.append((head, tag["query"], slot))

    def walk(self, command):
        c, j = self.c, self.jobs[self.front]
        members = [self.slots[(command["slot"] + n) % c.slots] for n in range(c.max_group)
                   if command["members"] >> n & 1]
        self.running += 1
        assert j.generate and {m.tag["kv_head"] for m in members} == {command["kv_head"]}
        if command["lsb"]:
            assert all(m.flat for m in members)
            self.walked += len(members)
            for m in members:
                m.flat = False
        else:
            assert len(members) == j.group == members[0].tag["gang"]
            self.k_walks.append((j.number, command["kv_head"]))
        self.scoring += members

    # -- what it is answered ----------------------------------------------------------------------------

    def free(self, item):
        """A vector leaves its slot."""
        self.bench.sources["free"].items.append(item.slot)
        del self.slots[item.slot]
        self.decided.append(item)

    def drive(self):
        """Inputs of the next cycle."""
        d, rng, bench, c = self.dut, self.rng, self.bench, self.c
        pulses = dict.fromkeys(("listed", "value_done", "item_done", "walked"), 0)
        if self.running:
            self.running -= 1
            pulses["walked"] = 1
        for reply in self.asked:
            reply[0] -= 1
        if self.asked and self.asked[0][0] < 0:
            _, finish, bad = self.asked.pop(0)
            j = self.jobs[self.front]
            if not finish:
                self.alive, self.heads = len(j.ids), sum(1 << h for h in j.heads)
                self.counts = sum(n << c.max_rows.bit_length() * s for s, n in enumerate(j.counts))
                self.fetch |= j.fetch & set(FRONT_ERRORS)
            bench.sources["op_done"].items.append(bad)
        for fill in self.fills:
            fill[0] -= 1
        ready = next((f for f in self.fills if f[0] < 0), None)
        if ready:
            self.fills.remove(ready)
            bench.sources["filled"].items.append(
                pack(filled_notice(), {name: ready[1][name] for name in ("value", "half", "lsb")}))
            if ready[1]["value"] and not ready[1]["lsb"]:
                self.values.add(ready[1]["half"])
        # A scored vector is decided: flat ones come again, others give their slot back.
        if self.scoring and rng.random() < 0.5:
            item = self.scoring.pop(rng.randrange(len(self.scoring)))
            if item.progressive:
                item.progressive = 0
                item.flat = rng.random() < 0.5
                self.flats += item.flat
                bench.sources["decided"].items.append(pack(decision_notice(c), {
                    "slot": item.slot, "flat": int(item.flat), "tag": item.tag}))
                if not item.flat or not item.tag["stream"]:
                    self.waits.append(item)
            else:
                self.free(item)
        if self.waits and bench.sources["decided"].at == len(bench.sources["decided"].items):
            item = self.waits.pop(0)
            if item.flat:
                self.again.setdefault(item.tag["kv_head"], []).append(item.position)
                bench.sources["free"].items.append(item.slot)
                del self.slots[item.slot]
                self.numbers.discard(item.tag["item"])
                self.half_left[item.half] -= 1
            else:
                self.free(item)
        if self.decided and self.opened and rng.random() < 0.6:
            assert self.back == self.front, "probabilities pass into the job before"
            self.behind.append(self.decided.pop(0))
            pulses["listed"] = 1
            if rng.random() < 0.5 or not (self.decided or self.scoring):
                self.fetch |= self.jobs[self.back].fetch & {V}
        # A gang whose items have all come; slower than scoring, so that the next job's scores come beside them.
        gangs = {}
        for item in self.behind:
            if not item.done and (item.tag["stream"] or item.half in self.values):
                gangs.setdefault(item.tag["first"], []).append(item)
        gang = next((g for g in gangs.values() if len(g) == g[0].tag["gang"]), None)
        if gang and rng.random() < 0.3:
            pulses["value_done"] = 1
            d.value_done_half.value, d.value_done_first.value = gang[0].half, gang[0].tag["first"]
            d.value_done_gang.value = len(gang)
            self.half_left[gang[0].half] -= len(gang)
            for item in gang:
                item.done = True
                self.numbers.discard(item.tag["item"])
        elif self.behind and self.behind[0].done and rng.random() < 0.3:
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
        d.alive_tokens.value, d.heads_alive.value, d.counts.value = self.alive, self.heads, self.counts
        d.write_idle.value = int(not self.writes)
        d.fetch_errors.value = sum(1 << n for n in self.fetch)
        d.write_errors.value = sum(1 << n for n in self.write)


@cocotb.test()
async def random_jobs(dut):
    c = CONFIGS[params()["name"]]
    bench = Bench(dut, INPUTS, OUTPUTS)
    rng = bench.rng
    for stall in (0.0, 0.5, 0.8):
        jobs = [random_job(rng, c, n) for n in range(JOBS)]
        await bench.start()
        world = World(dut, bench, c, jobs)
        bench.send("jobs", [pack(job_offer(c), {
            "job": {f: getattr(j, f) for f in (*FLAGS, "generate", "group", "causal", "k_lsb", "v_lsb")},
            "scales": j.number % 4, "tag": j.number + 7, "error": j.code if j.refused else 0}) for j in jobs], stall)
        for name in ("op_done", "decided", "free", "filled"):
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
        assert world.k_walks == [(j.number, h) for j in jobs if j.runs and j.generate for h in j.heads]
        assert world.walked + world.refetched == world.flats == world.counted["replayed"]
        assert world.counted["issued"] == sum(len(j.items) for j in jobs)
        prompts = [j for j in jobs if j.runs and not j.generate]
        assert all(world.filling[j.number, value, 0] == len(j.heads) for j in prompts for value in (0, 1))
        assert all(world.filling[j.number, 1, 1] == (world.filling[j.number, 0, 1] if j.v_lsb else 0) for j in prompts)
        assert not int(dut.busy.value) and not int(dut.items.value) and not world.slots
        # The cases were there.
        assert world.walked > 5 and world.refetched > 5 and world.overlapped > 10
        assert {bool(j.write) for j in jobs if j.code == ErrorCode.OK or j.code in WRITE_ERRORS} == {False, True}


@cocotb.test()
async def nothing_begins_unasked(dut):
    """A job that is not offered is not begun."""
    c = CONFIGS[params()["name"]]
    bench = Bench(dut, INPUTS, OUTPUTS)
    await bench.start()
    outputs = {name: bench.receive(name) for name in OUTPUTS}
    dut.write_idle.value = 1
    dut.alive_tokens.value, dut.heads_alive.value = 3, (1 << c.max_heads) - 1
    await bench.idle(100)
    assert not any(sink.items for sink in outputs.values()) and not int(dut.busy.value)


@pytest.mark.parametrize("name", CONFIGS)
def test_sequencer(name):
    run_bench(Sequencer(CONFIGS[name]), __name__, params={"name": name})
