"""The rules, one by one at their edges, on the small preset: what is just legal, and what is just not."""

import pytest

from spatten_hw.interface.descriptor import FIELDS, HEADER_WORDS, SCALE_FIELDS
from spatten_hw.interface.errors import ErrorCode
from spatten_hw.interface.validate import CHUNK_RULES, RANGES, RULES, check, reserved_mask
from spatten_hw.presets import SMALL as PAPER_ALONE

SMALL = PAPER_ALONE.replace(decision_rules=1)
SPACE = 1 << SMALL.addr_bits
#: 512 tokens of 4 heads of D = 32, 8 + 4 bits, on the small preset (64-bit memory, 32-bit addresses).
BASE = {
    "dim": 32, "q_bits": 12, "k_msb": 8, "k_lsb": 4, "v_msb": 8, "v_lsb": 4, "heads": 4, "group": 4,
    "tokens": 512, "keep_tokens": 512, "keep_heads": 4, "keep_values": 512,
    "q_base": 0x100000, "q_head_stride": 512 * 48, "q_token_stride": 48,
    "k_msb_base": 0x200000, "k_msb_head_stride": 512 * 32, "k_msb_token_stride": 32,
    "k_lsb_base": 0x300000, "k_lsb_head_stride": 512 * 16, "k_lsb_token_stride": 16,
    "v_msb_base": 0x400000, "v_msb_head_stride": 512 * 32, "v_msb_token_stride": 32,
    "v_lsb_base": 0x500000, "v_lsb_head_stride": 512 * 16, "v_lsb_token_stride": 16,
    "out_base": 0x600000, "out_head_stride": 512 * 64, "out_token_stride": 64,
}
Q_SIZE, K_SIZE, L_SIZE, O_SIZE = 16 * 512 * 48, 4 * 512 * 32, 4 * 512 * 16, 16 * 512 * 64
STATE, SURVIVORS = 8 * (512 + 4), 8 * (1 + 8 + 1)
E = ErrorCode

LEGAL = [
    {}, {"causal": 1}, {"generate": 1}, {"threshold": 4096}, {"restart": 1}, {"load_ids": 1},
    {"k_msb": 12, "k_lsb": 0, "k_lsb_base": 1 << 60}, {"keep_tokens": 1}, {"keep_heads": 1 << 31},
    {"keep_tokens": 100, "protect_first": 60, "protect_last": 40}, {"protect_first": 1 << 31},
    {"q_base": SPACE - Q_SIZE}, {"k_msb_base": SPACE - K_SIZE}, {"k_lsb_base": SPACE - L_SIZE},
    {"v_msb_base": SPACE - K_SIZE}, {"v_lsb_base": SPACE - L_SIZE}, {"out_base": SPACE - O_SIZE},
    {"generate": 1, "q_base": SPACE - 15 * 512 * 48 - 48}, {"q_token_stride": 65528},
    {"ids_in": 5}, {"load_ids": 1, "ids_in": SPACE - SURVIVORS}, {"store_ids": 1, "ids_out": SPACE - SURVIVORS},
    {"tokens": 449, "load_ids": 1, "ids_in": SPACE - SURVIVORS},
    {"tokens": 448, "load_ids": 1, "ids_in": SPACE - SURVIVORS + 8},
    {"v_lsb": 0, "v_msb": 12, "v_lsb_base": 1, "v_lsb_head_stride": 2, "v_lsb_token_stride": 3},
    {"load_scores": 1, "scores_in": SPACE - STATE}, {"store_scores": 1, "scores_out": SPACE - STATE},
    {"generate": 1, "lsb_by_key": 1, "lsb_margin": (1 << 19) - 1}, {"k_lsb": 0, "lsb_margin": 5},
    {"mass_share": 4096, "give_back": 1},
]
ILLEGAL = [
    ({"dim": 0}, E.BAD_DIM), ({"dim": 16}, E.BAD_DIM), ({"dim": 64}, E.BAD_DIM), ({"dim": 33}, E.BAD_DIM),
    ({"q_bits": 0}, E.BAD_Q_BITS), ({"q_bits": 5}, E.BAD_Q_BITS), ({"q_bits": 14}, E.BAD_Q_BITS),
    ({"k_msb": 7}, E.BAD_K_BITS), ({"k_lsb": 2}, E.BAD_K_BITS), ({"k_msb": 0}, E.BAD_K_BITS),
    ({"k_msb": 10}, E.K_TOO_WIDE), ({"v_lsb": 8}, E.BAD_V_BITS), ({"v_msb": 3}, E.BAD_V_BITS),
    ({"v_msb": 14, "v_lsb": 0}, E.V_TOO_WIDE), ({"threshold": 4097}, E.BAD_THRESHOLD),
    ({"heads": 0}, E.ZERO_HEADS), ({"group": 0}, E.ZERO_GROUP), ({"group": 5, "heads": 1}, E.GROUP_TOO_LARGE),
    ({"heads": 5}, E.TOO_MANY_HEADS), ({"tokens": 0}, E.ZERO_TOKENS), ({"tokens": 513}, E.TOO_MANY_TOKENS),
    ({"keep_tokens": 0}, E.ZERO_KEEP_TOKENS), ({"keep_heads": 0}, E.ZERO_KEEP_HEADS),
    ({"keep_values": 0}, E.ZERO_KEEP_VALUES),
    ({"keep_tokens": 99, "protect_first": 60, "protect_last": 40}, E.PROTECTED_EXCEED_KEEP),
    ({"generate": 1, "causal": 1}, E.CAUSAL_GENERATION), ({"restart": 1, "load_ids": 1}, E.RESTART_AND_LOAD),
    ({"out_base": 4}, E.MISALIGNED_OUTPUT), ({"out_head_stride": 12}, E.MISALIGNED_OUTPUT),
    ({"out_token_stride": 65}, E.MISALIGNED_OUTPUT), ({"load_ids": 1, "ids_in": 4}, E.MISALIGNED_IDS_IN),
    ({"store_ids": 1, "ids_out": 4}, E.MISALIGNED_IDS_OUT),
    ({"load_scores": 1, "scores_in": 1}, E.MISALIGNED_SCORES_IN),
    ({"store_scores": 1, "scores_out": 2}, E.MISALIGNED_SCORES_OUT),
    ({"q_token_stride": 65536}, E.STRIDE_TOO_LARGE), ({"v_lsb_token_stride": 65536}, E.STRIDE_TOO_LARGE),
    ({"q_base": SPACE - Q_SIZE + 8}, E.RANGE_Q), ({"q_head_stride": 1 << 31}, E.RANGE_Q),
    ({"k_msb_base": SPACE - K_SIZE + 8}, E.RANGE_K_MSB), ({"k_lsb_base": SPACE - L_SIZE + 8}, E.RANGE_K_LSB),
    ({"v_msb_base": 1 << 63}, E.RANGE_V_MSB), ({"v_lsb_base": SPACE - L_SIZE + 8}, E.RANGE_V_LSB),
    ({"out_base": SPACE - O_SIZE + 8}, E.RANGE_OUTPUT),
    ({"load_ids": 1, "ids_in": SPACE - SURVIVORS + 8}, E.RANGE_IDS_IN),
    ({"store_ids": 1, "ids_out": SPACE - SURVIVORS + 8}, E.RANGE_IDS_OUT),
    ({"load_ids": 1, "ids_in": SPACE}, E.RANGE_IDS_IN), ({"store_ids": 1, "ids_out": 1 << 63}, E.RANGE_IDS_OUT),
    ({"load_scores": 1, "scores_in": SPACE - STATE + 8}, E.RANGE_SCORES_IN),
    *[({f"{plane}_{field}": BASE[f"{plane}_{field}"] + 4}, E.MISALIGNED_ROWS)
      for plane in ("q", "k_msb", "k_lsb", "v_msb", "v_lsb") for field in ("base", "head_stride", "token_stride")],
    ({"store_scores": 1, "scores_out": SPACE - STATE + 8}, E.RANGE_SCORES_OUT),
    ({"lsb_by_key": 1}, E.PROMPT_LSB_BY_KEY), ({"lsb_by_key": 1, "generate": 1, "k_lsb": 0}, E.NO_LSB_BY_KEY),
    ({"mass_share": 4097}, E.BAD_MASS_SHARE),
]


@pytest.mark.parametrize("change", LEGAL, ids=str)
def test_just_legal(change):
    assert check(SMALL, BASE | change) == []


@pytest.mark.parametrize(("change", "code"), ILLEGAL, ids=str)
def test_just_illegal(change, code):
    assert check(SMALL, BASE | change)[0] == code


def test_sram_limit_depends_on_dim():
    """Four slices with 64 words of 8 elements in each half."""
    c = SMALL.replace(chunk=8, sram_tokens=64, topk_lanes=4)
    assert (c.slices, c.sram_words) == (4, 64)
    for dim, most in ((8, 256), (16, 128), (24, 84), (32, 64)):
        assert check(c, BASE | {"tokens": most, "dim": dim}) == []
        assert check(c, BASE | {"tokens": most + 1, "dim": dim}) == [E.SRAM_OVERFLOW]
        assert check(c, BASE | {"tokens": 512, "dim": dim, "generate": 1}) == []


def test_rows_are_spread_over_channels():
    """Every second token's rows lie in a channel of 2^32 bytes; words name the channel above that."""
    c = SMALL.replace(chunk=8, channels=2, topk_lanes=4)
    space = 1 << 32
    for tokens, places in ((512, 256), (511, 256), (510, 255)):
        job = BASE | {"tokens": tokens, "q_head_stride": 256 * 48}
        last = space - 15 * 256 * 48 - places * 48
        assert check(c, job | {"q_base": last}) == []
        assert check(c, job | {"q_base": last + 8}) == [E.RANGE_Q]
        assert check(c, job | {"generate": 1, "q_base": space - 15 * 256 * 48 - 48}) == []
        assert check(c, job | {"generate": 1, "q_base": space - 15 * 256 * 48 - 40}) == [E.RANGE_Q]
    for at, legal in ((space - STATE, True), (space - STATE + 8, False), (space, True), (2 * space - STATE, True),
                      (2 * space - STATE + 8, False), (2 * space, False), (1 << 40, False)):
        assert (check(c, BASE | {"load_scores": 1, "scores_in": at}) == []) == legal, at
    size = 8 * (HEADER_WORDS + 2 * 16)
    assert check(c, BASE, descriptor=2 * space - size) == check(c, BASE, descriptor=space - size) == []
    assert check(c, BASE, descriptor=space - size + 8) == [E.RANGE_DESCRIPTOR]
    assert check(c, BASE, descriptor=space - 8)[0] == check(c, BASE, descriptor=2 * space)[0] == E.DESCRIPTOR_ADDRESS


def test_descriptor_address_and_scales():
    size = 8 * (HEADER_WORDS + 2 * 16)
    assert check(SMALL, BASE, descriptor=SPACE - size) == []
    assert check(SMALL, BASE, descriptor=SPACE - size + 8) == [E.RANGE_DESCRIPTOR]
    assert check(SMALL, BASE, descriptor=4)[0] == E.DESCRIPTOR_ADDRESS
    assert check(SMALL, BASE, descriptor=SPACE)[0] == E.DESCRIPTOR_ADDRESS
    assert check(SMALL, BASE, [{"out_mant": 1 << 16}]) == []
    assert check(SMALL, BASE, [{"out_mant": 1 << 17}]) == [E.BAD_SCALE]
    back = BASE | {"give_back": 1}
    assert check(SMALL, back, [{"out_shift": 4}]) == check(SMALL, BASE, [{"out_shift": 3}]) == []
    assert check(SMALL, back, [{"out_shift": 3}, {"out_mant": 1 << 17}]) == [E.BAD_GIVE_BACK, E.BAD_SCALE]
    assert check(SMALL, BASE | {"tokens": 1 << 32})[:2] == [E.RESERVED_BITS, E.TOO_MANY_TOKENS]


def test_a_build_without_the_decision_rules_refuses_them():
    c = PAPER_ALONE
    assert check(c, BASE | {"lsb_margin": 9}) == []
    for rule in ({"mass_share": 1}, {"give_back": 1}, {"generate": 1, "lsb_by_key": 1}):
        assert check(c, BASE | rule) == [E.NO_DECISION_RULES] and check(SMALL, BASE | rule) == []


def test_several_queries():
    """At the edges of the rules of `queries`; a build without has no meaning for the field."""
    c = SMALL.replace(chunk_queries=1)
    chunk = BASE | {"generate": 1, "queries": 8}
    for job in (chunk, chunk | {"causal": 1}, chunk | {"queries": 512}, BASE | {"generate": 1},
                chunk | {"keep_tokens": 511, "protect_last": 8}):
        assert check(c, job) == [], job
    for change, code in (({"queries": 513}, E.QUERIES_EXCEED_TOKENS), ({"generate": 0}, E.PROMPT_QUERIES),
                         ({"causal": 1, "queries": 0}, E.CAUSAL_GENERATION),
                         ({"keep_tokens": 511, "protect_last": 7}, E.QUERIES_UNPROTECTED)):
        assert check(c, chunk | change) == [code]
        assert check(SMALL, chunk | {"queries": 0}) == [] and check(SMALL, chunk) == [E.RESERVED_BITS]
    last = SPACE - 15 * 512 * 48 - 8 * 48
    assert check(c, chunk | {"q_base": last}) == [] and check(c, chunk | {"q_base": last + 8}) == [E.RANGE_Q]
    assert {r.code for r in CHUNK_RULES} == {E.QUERIES_EXCEED_TOKENS, E.PROMPT_QUERIES, E.QUERIES_UNPROTECTED}


def test_every_rule_has_an_example():
    codes = {code for _, code in ILLEGAL} | {E.SRAM_OVERFLOW, E.RANGE_DESCRIPTOR, E.NO_DECISION_RULES}
    assert codes == {r.code for r in (*RULES, *RANGES)}


def test_reserved_masks_cover_what_fields_do_not():
    for fields, words in ((FIELDS, HEADER_WORDS), (SCALE_FIELDS, 2)):
        for word in range(words):
            used = [b for f in fields if f.word == word for b in range(f.lsb, f.lsb + f.width)]
            assert len(used) == len(set(used))
            assert reserved_mask(fields, word) == sum(1 << b for b in range(64) if b not in used)
