"""Decision rules in the golden accelerator: examples by hand, and random jobs against a slow reference."""

import itertools

import numpy as np
import pytest

from spatten_hw.host.job import HeadScale, LayerJob, check
from spatten_hw.host.rows import row_beats
from spatten_hw.host.scales import score_scale
from spatten_hw.sim.golden.accelerator import GoldenAccelerator
from spatten_hw.sim.golden.cascade import to_bitmap
from spatten_hw.sim.golden.give_back import given_back, ratio
from spatten_hw.sim.golden.mass import mass_counts, mass_counts_float
from spatten_hw.sim.golden.near import near_keys, partly_joined
from tests.seeds import numbers

from .passes import WIDE
from .slow_rules import run

#: Groups of up to eight query heads.
BUILD = WIDE.replace(max_group=8, max_heads=16, slots=8)
EVERY = (1 << 19) - 1
SEEDS = 60


# -- by hand ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share,kept", [(1, 1), (2048, 1), (2049, 2), (3072, 2), (3073, 3), (3584, 3), (3585, 4),
                                        (4096, 4)])
def test_mass(share, kept):
    """Shares of 4,096 in all, largest first: 2048, 1024, 512, 512 and nothing."""
    probs = np.array([0, 512, 2048, 0, 512, 1024])
    assert mass_counts(probs, share) == kept
    assert mass_counts_float(probs / 4096, share / 4096) == kept


def test_mass_is_of_what_there_is():
    """Σp is not 4096; the target is rounded up: half of 7 is 4, so that one of 3 is too little."""
    assert mass_counts(np.array([3, 2, 2]), 2048).tolist() == 2
    assert mass_counts(np.array([[4, 2, 1], [1, 1, 1], [0, 0, 0]]), 2048).tolist() == [1, 2, 1]
    assert mass_counts(np.zeros((2, 5), dtype=np.int64), 4096).tolist() == [1, 1]


@pytest.mark.parametrize("total,kept,r", [
    (4096, 4096, 1 << 14), (4096, 2048, 2 << 14), (4096, 1024, 4 << 14), (4095, 4095, 1 << 14), (9, 0, 1 << 14),
    (4096, 1, (1 << 18) - 1), (3000, 2000, 24576), (4096, 3, (1 << 18) - 1), (16, 1, (1 << 18) - 1),
    (15, 1, 15 << 14), (4097, 4096, 16388), (0, 0, 1 << 14)])
def test_ratio(total, kept, r):
    assert ratio(total, kept) == r


def test_ratio_is_within_two_roundings():
    rng = numbers("ratio")
    kept = rng.integers(1, 6000, 2000)
    total = kept + rng.integers(0, 6000, 2000)
    r = ratio(total, kept)
    assert np.all((r == (1 << 18) - 1) | (np.abs(r / (1 << 14) * kept / total - 1) < 2 ** -14))
    assert np.all(np.diff(ratio(np.arange(1000, 9000), 700)) >= 0)


def test_given_back_scales():
    """Twice: s = 2, so half the mantissa and a shift two less; nothing dropped: as it was."""
    assert [int(x) for x in given_back(40000, 20, 4096, 2048)] == [20000, 18]
    assert [int(x) for x in given_back(40001, 20, 4096, 4096)] == [40001, 20]
    assert [int(x) for x in given_back((1 << 17) - 1, 4, 4096, 1)] == [(1 << 17) - 1, 0]
    mant, shift = given_back(np.array([5, 5]), np.array([4, 9]), np.array([3000, 10]), np.array([2000, 10]))
    assert mant.tolist() == [4, 5] and shift.tolist() == [3, 9]  # 5 · 1.5 / 2 = 3.75


def test_near_keys():
    """A step of the score is a quarter of an octave: y = 0, ¼, ½, 1 octaves."""
    scale = score_scale(0.25)
    scores = np.array([[4, 3, 2, 0, 9]])
    for margin, near in ((0, [0]), (4095, [0]), (4096, [0, 1]), (8192, [0, 1, 2]), (16383, [0, 1, 2]),
                         (16384, [0, 1, 2, 3]), (EVERY, [0, 1, 2, 3])):
        assert np.flatnonzero(near_keys(scores, margin, np.array([4]), *scale)).tolist() == near


def test_partly_joined():
    msb, lsb = np.array([[-8, 7], [1, -1]]), np.array([[0, 15], [8, 3]])
    assert partly_joined(msb, lsb, [True, False], 4).tolist() == [[-128 - 8, 112 + 7], [16, -16]]


# -- jobs ---------------------------------------------------------------------------------------------------------


def random_job(rng):
    """A job of one layer in which everything about the rules varies; operands; survivors."""
    generate = int(rng.random() < 0.7)
    group, dim = int(rng.integers(1, 9)), int(rng.choice([8, 16]))
    heads = int(rng.integers(1, 1 + min(3, BUILD.max_heads // group)))
    tokens = int(rng.integers(1, 40 if generate else 14))
    k_lsb, v_lsb = int(rng.choice([0, 4, 4, 4])), int(rng.choice([0, 4]))
    levels = int(rng.choice([1, 2, 100]))
    k_msb, v_msb = int(rng.choice([4, 6, 8])), int(rng.choice([4, 8]))

    def codes(rows, count, bits):
        top = min((1 << bits - 1) - 1, levels)
        values = rng.integers(-top, top + 1, (count, rows, dim)) * ((1 << bits - 1) - 1) // top
        return np.where(rng.random(values.shape) < 0.03, -(1 << bits - 1), values)

    q = codes(1 if generate else tokens, heads * group, 8)
    k, v = codes(tokens, heads, k_msb + k_lsb), codes(tokens, heads, v_msb + v_lsb)
    if rng.random() < 0.15:
        q[...] = 0  # all keys equal
    unit = 1 / np.sqrt(dim) / (1 << k_msb + k_lsb + 6)  # scores within some octaves
    scales = tuple(HeadScale(*score_scale(unit * 2 ** rng.uniform(-4, 6)), int(rng.integers(1, 1 << 17)),
                             int(rng.integers(4, 24))) for _ in range(heads * group))
    by_key = int(generate and k_lsb and rng.random() < 0.7)
    job = LayerJob(
        dim=dim, tokens=tokens, scales=scales, heads=heads, group=group, generate=generate, load_ids=1, clear_scores=1,
        causal=int(not generate and rng.random() < 0.5), q_bits=8, k_msb=k_msb, k_lsb=k_lsb, v_msb=v_msb, v_lsb=v_lsb,
        threshold=int(rng.choice([0, 1000, 2000, 3000, 4096])), lsb_by_key=by_key,
        lsb_margin=int(rng.choice([0, 5000, 40000, 120000, EVERY])),
        mass_share=int(rng.choice([0, 1, 1500, 3000, 3686, 4095, 4096])), give_back=int(rng.random() < 0.6),
        keep_values=int(rng.choice([1, 2, 5, 1 << 20])))
    alive = np.flatnonzero(rng.random(tokens) < rng.choice([0.5, 1.0]))
    alive = alive if len(alive) else np.array([tokens - 1])
    words = np.array([len(alive) | heads << 32, *to_bitmap(alive, tokens), *to_bitmap(np.arange(heads), heads)],
                     dtype=np.uint64)
    return job, q, k, v, alive, words


def place(position, token, head, alive, generate):
    """(row, slice) of a key."""
    s = BUILD.slices
    if not generate:
        return position // s, (position + head) % s
    return sum(1 for other in alive if other < token and other % s == token % s), (token + head) % s


@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_jobs(seed):
    job, q, k, v, alive, words = random_job(numbers("rules", seed))
    check(job.replace(q_base=0), BUILD)
    result = GoldenAccelerator(BUILD).run(job, q, k, v, ids_in=words)
    rows = np.array([0]) if job.generate else alive
    rows_read, importance = {"k_lsb": 0, "v_msb": 0, "v_lsb": 0}, np.zeros(job.tokens, dtype=np.int64)
    for head in range(job.heads):
        members = range(head * job.group, (head + 1) * job.group)
        order = [place(i, int(t), head, alive.tolist(), job.generate) for i, t in enumerate(alive)]
        want = run(job, BUILD, [q[m, rows].tolist() for m in members], k[head, alive].tolist(),
                   v[head, alive].tolist(), order, [job.scales[m] for m in members])
        assert result.out[list(members)][:, rows].tolist() == want.out
        assert result.refetched[list(members)][:, rows].tolist() == want.flat
        assert result.kept[list(members)][:, rows].tolist() == [[len(kept) for kept in m] for m in want.kept]
        assert np.flatnonzero(result.lsb_keys[head]).tolist() == sorted(alive[sorted(want.lsb_keys)].tolist())
        importance[alive] += want.importance
        assert result.head_scores[head] == np.abs(np.array(want.out)).sum()
        if job.k_lsb:
            rows_read["k_lsb"] += len(want.lsb_keys)
        if job.generate:
            pairs = [(kept, flat) for m, f in zip(want.kept, want.flat, strict=True)
                     for kept, flat in zip(m, f, strict=True)]
            rows_read["v_msb"] += len(set().union(*(kept for kept, _ in pairs)))
            rows_read["v_lsb"] += len(set().union(*(kept for kept, flat in pairs if flat))) if job.v_lsb else 0
    assert result.token_scores.tolist() == importance.tolist()
    for name in rows_read if job.generate else ("k_lsb",):
        assert result.rows[name] == rows_read[name], name
        beats = row_beats(job.dim, job.width(name), BUILD)
        assert result.bytes[name] == rows_read[name] * beats * BUILD.beat_bytes


def test_random_jobs_reach_every_path():
    jobs = [random_job(numbers("rules", seed))[0] for seed in range(SEEDS)]
    for name in ("generate", "causal", "k_lsb", "v_lsb", "lsb_by_key", "mass_share", "give_back", "threshold"):
        assert {bool(getattr(j, name)) for j in jobs} == {False, True}, name
    assert {j.group for j in jobs} == set(range(1, 9))
    assert any(j.lsb_by_key and j.mass_share and j.give_back and j.threshold for j in jobs)
    flat = [GoldenAccelerator(BUILD).run(j, q, k, v, ids_in=words).refetched
            for j, q, k, v, _, words in (random_job(numbers("rules", seed)) for seed in range(SEEDS)) if j.lsb_by_key]
    assert any(0 < f.sum() < f.size for f in flat) and any(f.all() for f in flat) and any(not f.any() for f in flat)


# -- what follows from the rules ------------------------------------------------------------------------------------


def typical(seed, **fields):
    """A generation job of 30 keys whose scores differ by some octaves, all of its queries flat; operands."""
    rng = numbers("typical", seed)
    q, k = (rng.integers(-127, 128, shape) for shape in ((3, 1, 16), (1, 30, 16)))
    v = rng.integers(50, 70, (1, 30, 16))
    scales = (HeadScale(*score_scale(1 / 4000), 50000, 20),) * 3
    base = LayerJob(dim=16, tokens=30, scales=scales, heads=1, group=3, generate=1, restart=1, clear_scores=1, q_bits=8,
                    k_msb=4, k_lsb=4, v_msb=8, threshold=4096)
    return GoldenAccelerator(BUILD).run(base.replace(**fields), q, k, v)


@pytest.mark.parametrize("seed", range(5))
def test_all_keys_near_is_the_papers_rule(seed):
    """−8·Σq is the same for all keys: softmax does not see it."""
    paper, by_key = typical(seed), typical(seed, lsb_by_key=1, lsb_margin=EVERY)
    assert np.array_equal(paper.out, by_key.out) and paper.bytes == by_key.bytes and by_key.lsb_keys.all()


@pytest.mark.parametrize("seed", range(5))
def test_margins_read_more_and_err_less(seed):
    exact = typical(seed)
    results = [typical(seed, threshold=0), *(typical(seed, lsb_by_key=1, lsb_margin=m << 14) for m in (0, 2, 5, 20))]
    rows = [r.rows["k_lsb"] for r in results]
    assert rows == sorted(rows) and rows[0] == 0 < rows[1] <= 3 and rows[-1] == 30
    errors = [np.abs(r.out - exact.out).sum() for r in results]
    assert errors[3] < 0.5 * errors[0] and errors[4] == 0


def test_a_flat_member_takes_the_near_keys_of_all_and_pays_once():
    """Two members that look at different keys: the list is both's, whether the second is flat or not."""
    k = np.zeros((1, 6, 8), dtype=np.int64)
    k[0, 0, 0], k[0, 3, 1] = 40 * 16 + 5, 40 * 16 + 5
    q = np.zeros((2, 1, 8), dtype=np.int64)
    q[0, 0, 0], q[1, 0, 1] = 1, 100  # a flat one, a peaked one
    scales = (HeadScale(*score_scale(1 / 256), 1 << 15, 20),) * 2
    job = LayerJob(dim=8, tokens=6, scales=scales, heads=1, group=2, generate=1, restart=1, clear_scores=1, q_bits=8,
                   k_msb=12, k_lsb=4, v_msb=8, threshold=4000, lsb_by_key=1, lsb_margin=1 << 14)
    result = GoldenAccelerator(BUILD).run(job, q, k, k * 0 + 1)
    assert result.refetched[:, 0].tolist() == [True, False]
    assert np.flatnonzero(result.lsb_keys[0]).tolist() == [0, 3]
    assert result.rows["k_lsb"] == 2 and result.bytes["k_lsb"] == 2 * 8
    none = GoldenAccelerator(BUILD).run(job.replace(threshold=0), q, k, k * 0 + 1)
    assert none.rows["k_lsb"] == 0 and not none.lsb_keys.any()


@pytest.mark.parametrize("seed", range(5))
def test_shares_keep_more(seed):
    counts = [typical(seed, mass_share=share).kept for share in (1, 1000, 2000, 3500, 4000, 4096)]
    assert all(np.all(a <= b) for a, b in itertools.pairwise(counts))
    assert np.all(counts[0] == 1) and np.all(counts[-1] < 30)  # those of p = 0 are left out
    assert np.array_equal(typical(seed, mass_share=4096).out, typical(seed).out)
    assert np.array_equal(typical(seed, mass_share=4096, keep_values=1).kept, counts[0])
    most = typical(seed, mass_share=3500, keep_values=4).kept
    assert np.array_equal(most, np.minimum(counts[3], 4))


def test_a_vector_of_zeros_keeps_one():
    """16,384 keys alike, each probability a quarter of a step."""
    config, n = BUILD.replace(max_tokens=1 << 14), 1 << 14
    job = LayerJob(dim=8, tokens=n, scales=(HeadScale(0, 0, 0, 1, 4),), generate=1, restart=1, clear_scores=1, q_bits=8,
                   k_msb=8, v_msb=8, mass_share=3000, give_back=1)
    zeros = np.zeros((1, n, 8), dtype=np.int64)
    result = GoldenAccelerator(config).run(job, zeros[:, :1], zeros, zeros + 5)
    assert result.kept.item() == 1 and result.rows["v_msb"] == 1
    assert not result.out.any() and not result.token_scores.any()


@pytest.mark.parametrize("seed", range(5))
def test_given_back_is_nearer(seed):
    """Values are much alike, so the output is about theirs again, whatever was dropped."""
    exact = typical(seed)
    plain, back = typical(seed, mass_share=2500), typical(seed, mass_share=2500, give_back=1)
    assert np.abs(back.out - exact.out).sum() < np.abs(plain.out - exact.out).sum()
    assert np.array_equal(plain.kept, back.kept) and back.head_scores.sum() > plain.head_scores.sum()
    assert np.array_equal(typical(seed, give_back=1).out, exact.out)
