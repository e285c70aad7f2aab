"""Random jobs, legal and with one rule broken, and their descriptors."""

from __future__ import annotations

import random

from spatten_hw.config import PLANE_WIDTHS, SpAttenConfig
from spatten_hw.host.shape import longest_prompt
from spatten_hw.host.words import survivor_words
from spatten_hw.interface.descriptor import FIELDS, GIVE_BACK_SHIFT, HEADER_WORDS, SCALE_FIELDS, SCALE_WORDS, fields_of


def encode(fields: dict[str, int], scales: list[dict[str, int]]) -> list[int]:
    """The 64-bit words of a descriptor."""
    words = [0] * (HEADER_WORDS + SCALE_WORDS * len(scales))
    for f in FIELDS:
        words[f.word] |= (fields.get(f.name, 0) & ((1 << f.width) - 1)) << f.lsb
    for n, scale in enumerate(scales):
        for f in SCALE_FIELDS:
            words[HEADER_WORDS + SCALE_WORDS * n + f.word] |= scale[f.name] << f.lsb
    return words


def random_scales(rng: random.Random, count: int, give_back: int = 0) -> list[dict[str, int]]:
    """`give_back`: of a job that does, which needs output shifts of some bits."""
    scales = [{f.name: rng.getrandbits(f.width) for f in SCALE_FIELDS} for _ in range(count)]
    for scale in scales if give_back else []:
        scale["out_shift"] = max(GIVE_BACK_SHIFT, scale["out_shift"])
    return scales


def legal_job(rng: random.Random, c: SpAttenConfig) -> dict[str, int]:
    """A random legal job; addresses that a job does not use hold anything."""
    generate = rng.getrandbits(1)
    dim = rng.choice(c.dims)
    longest = c.max_tokens if generate else min(c.max_tokens, longest_prompt(c, dim))
    tokens = rng.choice([1, longest, rng.randrange(1, longest + 1)])
    group = rng.randrange(1, c.max_group + 1)
    heads = rng.randrange(1, c.max_heads // group + 1)
    f = {"generate": generate, "causal": 0 if generate else rng.getrandbits(1), "dim": dim, "heads": heads,
         "group": group, "tokens": tokens, "threshold": rng.choice([0, 4096, rng.randrange(4097)])}
    f["restart"] = rng.getrandbits(1)
    f["load_ids"] = 0 if f["restart"] else rng.getrandbits(1)
    for flag in ("clear_scores", "load_scores", "store_ids", "store_scores", "barrier"):
        f[flag] = rng.getrandbits(1)
    f["q_bits"] = rng.choice([w for w in PLANE_WIDTHS if w <= c.operand_bits])
    for plane in "kv":
        lsb = rng.choice([0, 4]) if c.operand_bits >= 8 else 0
        f[f"{plane}_lsb"] = lsb
        f[f"{plane}_msb"] = rng.choice([w for w in PLANE_WIDTHS if w + lsb <= c.operand_bits])
    f["protect_first"], f["protect_last"] = rng.randrange(tokens + 1), rng.randrange(tokens + 1)
    keep = f["protect_first"] + f["protect_last"]
    f["keep_tokens"] = rng.choice([max(1, keep), 0xFFFFFFFF, tokens, max(tokens, keep) + 5])
    f["keep_heads"] = rng.choice([1, heads, 0xFFFFFFFF, rng.randrange(1, c.max_heads + 2)])
    f["keep_values"] = rng.choice([1, tokens, 0xFFFFFFFF, rng.randrange(1, tokens + 1)])
    f |= {"lsb_margin": rng.getrandbits(19), "mass_share": 0, "give_back": 0, "lsb_by_key": 0}
    if c.decision_rules:
        f["mass_share"], f["give_back"] = rng.choice([0, 1, 4096, rng.randrange(4097)]), rng.getrandbits(1)
        f["lsb_by_key"] = rng.getrandbits(1) if generate and f["k_lsb"] else 0
    f["queries"] = 0
    if c.chunk_queries and generate and rng.random() < 0.6:
        most = f["protect_last"] if f["keep_tokens"] < tokens else tokens
        f["queries"] = rng.choice([min(1, most), most, rng.randrange(most + 1)])
        f["causal"] = rng.getrandbits(1) if f["queries"] else 0
    queries = max(1, f["queries"])
    space = 1 << c.axi_addr_bits
    for name in ("q", "k_msb", "k_lsb", "v_msb", "v_lsb", "out"):
        used = f.get(name, 1) if name.endswith("lsb") else 1
        if not used:
            for part, bits in (("base", 64), ("head_stride", 32), ("token_stride", 32)):
                f[f"{name}_{part}"] = rng.getrandbits(bits)
            continue
        rows = -(-(queries if generate and name in ("q", "out") else tokens) // c.channels)
        outer = heads * group if name in ("q", "out") else heads
        bits = f["q_bits"] if name == "q" else 16 if name == "out" else f[name]
        unit = c.beat_bytes
        row = dim * bits // 8
        token = -(-row // unit) * unit + unit * rng.randrange(3)
        head = token * rows + unit * rng.randrange(8)
        size = head * (outer - 1) + token * (rows - 1) + row
        last = (space - size) // unit
        f[f"{name}_base"] = unit * rng.choice([0, last, rng.randrange(last + 1)])
        f[f"{name}_head_stride"], f[f"{name}_token_stride"] = head, token
    align = max(8, c.beat_bytes)
    for flag, name, words, unit in _sections(align, tokens, heads):
        last = (space - 8 * words) // unit
        local = unit * rng.choice([0, last, rng.randrange(last + 1)])
        f[name] = local + rng.randrange(c.channels) * space if f[flag] else rng.getrandbits(64)
    return f


def _sections(align: int, tokens: int, heads: int) -> list[tuple[str, str, int, int]]:
    """(flag, address, words, alignment) of the sections of state."""
    lists, scores = survivor_words(tokens, heads), tokens + heads
    return [("load_ids", "ids_in", lists, 8), ("store_ids", "ids_out", lists, align),
            ("load_scores", "scores_in", scores, 8), ("store_scores", "scores_out", scores, align)]


def spoil(rng: random.Random, c: SpAttenConfig, f: dict[str, int]) -> dict[str, int]:
    """The job with one or two fields changed to something that is often illegal."""
    f = dict(f)
    if rng.random() < 0.1:
        # State that would end a word behind the last address of a channel.
        flag, name, words, unit = rng.choice(_sections(max(8, c.beat_bytes), f["tokens"], f["heads"]))
        channel = rng.randrange(c.channels) << c.axi_addr_bits
        f[name] = channel + ((1 << c.axi_addr_bits) - 8 * words) // unit * unit + unit
        f[flag] = 1
        f["restart"] &= flag != "load_ids"
        return f
    for _ in range(rng.choice([1, 1, 1, 2])):
        field = rng.choice(fields_of(c))
        old = f.get(field.name, 0)
        limits = {"dim": c.max_dim, "heads": c.max_heads, "group": c.max_group, "tokens": c.max_tokens}
        edge = limits.get(field.name, old) + 1
        new = rng.choice([
            0, old + 1, old - 1, old * 2, old + 4, old + 8, old + 8, old + max(8, c.beat_bytes), edge,
            rng.getrandbits(field.width), 1 << rng.randrange(field.width), old | 1 << rng.randrange(field.width),
            (1 << c.addr_bits) - rng.randrange(200), 1 << c.addr_bits, 1 << c.axi_addr_bits, (1 << field.width) - 1,
        ])
        f[field.name] = new & ((1 << field.width) - 1)
    return f
