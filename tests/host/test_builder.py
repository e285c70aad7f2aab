"""Jobs from shapes, widths and places; whether they fit a build."""

import dataclasses
import itertools
import re

import numpy as np
import pytest

from spatten_hw.errors import UserError
from spatten_hw.host.builder import JobBuilder, dense_rows_bytes, head_scale
from spatten_hw.host.job import JobRefused, check
from spatten_hw.host.layout import Arena
from spatten_hw.host.quantise import join
from spatten_hw.host.rows import unpack_rows
from spatten_hw.host.rules import BY_KEY
from spatten_hw.host.shape import LayerShape, Precision, check_fits, shortfalls
from spatten_hw.interface.descriptor import FIELDS
from tests.integration.builds import QUAD

SHAPE, PROGRESSIVE = LayerShape(16, 3, 2), Precision(8, (6, 4), (8, 0), 205)


@pytest.fixture
def builder():
    return JobBuilder(QUAD, SHAPE, PROGRESSIVE, Arena(QUAD))


def operands(tokens):
    rng = np.random.default_rng(1)
    return {name: rng.integers(-(1 << bits - 1) + 1, 1 << bits - 1, size=(heads, tokens, SHAPE.dim))
            for name, heads, bits in (("q", SHAPE.query_heads, 8), ("k", SHAPE.kv_heads, 10), ("v", SHAPE.kv_heads, 8))}


def everything(builder, tokens, **fields):
    planes = {"q": builder.query_plane(tokens), **builder.key_value_planes(tokens),
              "out": builder.out_plane(tokens)}
    ids, descriptor = builder.ids(tokens), builder.descriptor()
    scales = builder.scales({"q": np.arange(1, 7) / 100, "k": np.ones(3) / 50, "v": np.ones(3) / 60}, 2.0 ** -11)
    return planes, builder.job(planes, tokens, scales, descriptor, restart=1, store_ids=1, ids_out=ids, **fields)


def test_a_job_names_what_it_was_built_from(builder):
    planes, job = everything(builder, 9, keep_tokens=5, keep_heads=None, causal=1)
    assert list(planes) == ["q", "k_msb", "k_lsb", "v_msb", "out"]
    for name, plane in planes.items():
        assert [getattr(job, f"{name}_{part}") for part in ("base", "head_stride", "token_stride")] == [
            plane.base, plane.head_stride, plane.token_stride]
    assert (job.dim, job.heads, job.group, job.tokens) == (16, 3, 2, 9)
    assert (job.q_bits, job.k_msb, job.k_lsb, job.v_msb, job.v_lsb, job.threshold) == (8, 6, 4, 8, 0, 205)
    assert (job.keep_tokens, job.keep_heads, job.causal) == (5, (1 << 32) - 1, 1)
    assert job.scales[3] == head_scale(0.04, 1 / 50, 1 / 60, 16, 2.0 ** -11)
    assert {f.name for f in FIELDS} == set(job.fields)


def test_images_are_the_integers(builder):
    """Read back from the bytes at the places that the job names."""
    planes, job = everything(builder, 9)
    codes = operands(9)
    memory = {(channel, base): data for channel, base, data in builder.images(planes, **codes)}
    assert set(memory) == {(channel, planes[name].base) for name in ("q", "k_msb", "k_lsb", "v_msb")
                           for channel in range(2)}

    def rows(name, heads, signed=True):
        plane = planes[name]
        found = [[memory[(token + head) % 2, plane.base][head * plane.head_stride + token // 2 * plane.token_stride:]
                  [:plane.nbytes] for token in range(9)] for head in range(heads)]
        return unpack_rows(np.array(found), SHAPE.dim, job.width(name), plane.align, signed)

    assert np.array_equal(rows("q", 6), codes["q"]) and np.array_equal(rows("v_msb", 3), codes["v"])
    assert np.array_equal(join(rows("k_msb", 3), rows("k_lsb", 3, signed=False), 4), codes["k"])


def test_no_two_blocks_overlap(builder):
    planes, job = everything(builder, 9)
    blocks = sorted([(p.base, p.size(SHAPE.query_heads if n in ("q", "out") else SHAPE.kv_heads))
                     for n, p in planes.items()] + [(job.ids_out, 8 * 3)])
    assert all(first + size <= second for (first, size), (second, _) in itertools.pairwise(blocks))


def test_a_job_that_breaks_a_rule_is_refused(builder):
    with pytest.raises(JobRefused):
        everything(builder, QUAD.max_tokens + 1)


FITS = {"shape": LayerShape(16, 4, 2), "precision": Precision(12, (8, 4), (12, 0)), "tokens": 64, "prompt": 64}


@pytest.mark.parametrize("field,change,says", [
    ("dims", {"shape": LayerShape(64, 1)}, "needs max_dim ≥ 64, 'quad' has 32: use another preset or --set max_dim=64"),
    ("dims", {"shape": LayerShape(4, 1)}, "has heads of 4, 'quad' takes 8, 16, 24, 32: pad them to one of these"),
    ("dims", {"shape": LayerShape(12, 1)}, "has heads of 12, 'quad' takes 8, 16, 24, 32: pad them to one of these"),
    ("max_tokens", {"tokens": 65}, "needs max_tokens ≥ 65, 'quad' has 64"),
    ("sram_tokens", {"prompt": 65}, "the prompt of the model has 65 tokens, the K/V memories of 'quad' hold 64: "),
    ("max_heads", {"shape": LayerShape(16, 5, 2)}, "needs max_heads ≥ 10, 'quad' has 8"),
    ("max_group", {"shape": LayerShape(16, 1, 5)}, "needs max_group ≥ 5, 'quad' has 4"),
    ("operand_bits", {"precision": Precision(12, (10, 4), (12, 0))}, "needs operand_bits ≥ 14, 'quad' has 12"),
])
def test_what_does_not_fit(field, change, says):
    work = FITS | change
    assert [lack.field for lack in shortfalls(QUAD, **work)][:1] == [field]
    with pytest.raises(UserError, match=re.escape(says)) as error:
        check_fits("the model", QUAD, **work)
    assert len(str(error.value).splitlines()) == 1


def test_what_fits():
    assert not [*shortfalls(QUAD, **FITS)]
    check_fits("the model", QUAD, **FITS)


def test_rules_are_of_every_job_but_by_key_of_steps():
    rules = JobBuilder(QUAD, SHAPE, dataclasses.replace(PROGRESSIVE, rules=BY_KEY), Arena(QUAD))
    _, prompt = everything(rules, 9)
    _, step = everything(rules, 9, generate=1)
    assert (prompt.lsb_by_key, prompt.lsb_margin, step.lsb_by_key, step.lsb_margin) == (0, 0, 1, 70911)
    assert prompt.mass_share == step.mass_share == 3686 and prompt.give_back == step.give_back == 1
    assert all(s.out_shift >= 4 for s in prompt.scales)
    with pytest.raises(JobRefused, match="out_shift of the scale table is below 4"):
        check(step.replace(scales=(dataclasses.replace(step.scales[0], out_shift=3), *step.scales[1:])), QUAD)


def test_dense_bytes():
    """Rows of Q and outputs, of K and V."""
    assert dense_rows_bytes(3, 5, 64) == 3 * (96 + 128) + 2 * 5 * 96
    assert dense_rows_bytes(1, 1, 64, 16) == 128 + 128 + 2 * 128
