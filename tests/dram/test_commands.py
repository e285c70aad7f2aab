"""Every command the controller issues against the rules, written a second time: random mixes, random timings."""

import os
import random

import numpy as np
import pytest

from spatten_hw.sim.dram.replay import COMMANDS, replay_trace
from spatten_hw.sim.dram.timing import DDR3_1600, DDR4_2400, HBM2

SEED = int(os.environ.get("SEED", "1"))
COUNT = 1500


def broken_rules(t, log):
    """The rules that a list of (clock, kind, bank, row) breaks, by name."""
    broken = set()
    last: dict = {}  # (scope, kind) -> clock of the latest
    rows: dict[int, int] = {}
    activates: dict[int, list[int]] = {}
    row_bus = column_bus = -1

    def apart(scope, kind, clocks, now, name):
        if (scope, kind) in last and now - last[scope, kind] < clocks:
            broken.add(name)

    for now, code, bank, row in log:
        kind = COMMANDS[code]
        group, channel = ("group", bank // t.banks), ("channel", bank // (t.banks * t.bank_groups))
        one, written = ("bank", bank), t.cwl + t.bl
        if kind in ("RD", "WR"):
            if now <= column_bus or (t.command_buses == 1 and now <= row_bus):
                broken.add("command bus")
            column_bus = now
            if bank not in rows:
                broken.add(f"{kind} to a closed bank")
            apart(one, "ACT", t.rcdrd if kind == "RD" else t.rcdwr, now, "RCD")
            apart(group, kind, t.ccd_l, now, "CCD_L")
            apart(channel, kind, t.ccd_s, now, "CCD_S")
            if kind == "RD":
                apart(group, "WR", written + t.wtr_l, now, "WTR_L")
                apart(channel, "WR", written + t.wtr_s, now, "WTR_S")
            else:
                apart(channel, "RD", t.rtw, now, "RTW")
        elif kind == "ACT":
            if now <= row_bus or (t.command_buses == 1 and now <= column_bus):
                broken.add("command bus")
            row_bus = now + t.act_clocks - 1
            if bank in rows:
                broken.add("ACT to an open bank")
            rows[bank] = row
            apart(one, "PRE", t.rp, now, "RP")
            apart(one, "ACT", t.rc, now, "RC")
            apart(group, "ACT", t.rrd_l, now, "RRD_L")
            apart(channel, "ACT", t.rrd_s, now, "RRD_S")
            apart("all", "REF", t.rfc, now, "RFC")
            window = activates.setdefault(channel[1], [])
            window.append(now)
            if len(window) > 4 and now - window[-5] < t.faw:
                broken.add("FAW")
        elif kind == "PRE":
            if rows.pop(bank, None) is None:
                broken.add("PRE to a closed bank")
            apart(one, "ACT", t.ras, now, "RAS")
            apart(one, "RD", t.rtp, now, "RTP")
            apart(one, "WR", written + t.wr, now, "WR")
        else:
            if rows:
                broken.add("REF with open banks")
            for b in range(t.pseudo_channels * t.bank_groups * t.banks):
                apart(("bank", b), "PRE", t.rp, now, "RP before REF")
            apart("all", "REF", t.rfc, now, "RFC")
        for scope in (one, group, channel, "all"):
            last[scope, kind] = now
    return broken


def mix(t, seed, **options):
    """A random mix of reads and writes with locality of rows."""
    rng = np.random.default_rng(seed)
    near = rng.integers(0, 1 << 24, size=60) * 64
    addresses = near[rng.integers(0, 60, size=COUNT)] + rng.integers(0, 64, size=COUNT) * t.burst_bytes
    arrivals = np.sort(rng.integers(0, COUNT * int(rng.integers(1, 12)), size=COUNT))
    return replay_trace(t, addresses, t.burst_bytes, writes=rng.random(COUNT) < rng.choice([0, 0.2, 0.5]),
                        arrivals=arrivals, commands=20 * COUNT, **options)


@pytest.mark.parametrize("timing", [HBM2, DDR4_2400, DDR3_1600], ids=lambda t: t.name)
@pytest.mark.parametrize("case", range(8))
def test_no_rule_is_broken(timing, case):
    print(f"SEED={SEED}")
    rng = random.Random(f"{SEED} {case} {timing.name}")
    fields = "rcdrd rcdwr rp ras rc rrd_s rrd_l faw wtr_s wtr_l rtw wr rtp rfc"
    changes = {f: rng.randint(0, 2 * getattr(timing, f)) for f in fields.split()}
    changes |= {"refi": rng.randint(500, 3000), "ccd_l": timing.ccd_s + rng.randint(0, 6),
                "bank_xor": rng.random() < 0.5,
                "age_limit": rng.choice([0, 20, 1000]), "read_queue": rng.choice([0, 1, 8, 32]),
                "write_high": rng.choice([5, 24]), "write_low": rng.choice([0, 4])}
    t = timing if case == 0 else timing.replace(**changes)
    result = mix(t, [SEED, case])
    log = result.commands.tolist()
    assert not broken_rules(t, log)
    counts = [sum(code == kind for _, code, _, _ in log) for kind in range(5)]
    s = result.stats
    assert counts == [s.activates, s.precharges, s.reads, s.writes, s.refreshes]
    assert s.reads + s.forwarded + s.writes + s.merged == COUNT


@pytest.mark.parametrize("field, rule", [
    ("rcdrd", "RCD"), ("rp", "RP"), ("rc", "RC"), ("ccd_l", "CCD_L"), ("rrd_s", "RRD_S"), ("faw", "FAW"),
    ("rfc", "RFC"), ("wtr_l", "WTR_L"), ("wtr_s", "WTR_S"), ("rtw", "RTW"), ("wr", "WR"), ("rtp", "RTP"),
    ("ras", "RAS"), ("act_clocks", "command bus")])
def test_the_rules_bite(field, rule):
    """Commands issued under one timing break the rule of another that asks for more."""
    t = HBM2.replace(faw=24, rc=50)
    slower = t.replace(**{field: 2 * getattr(t, field) + 12})
    seen = set().union(*(broken_rules(slower, mix(t, [SEED, i]).commands.tolist()) for i in range(4)))
    assert rule in seen and seen <= {rule, "RP before REF"}
