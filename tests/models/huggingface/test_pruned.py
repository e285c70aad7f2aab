"""Pruning and dumps: what the adapter does layer by layer is what a whole workload file gives."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from spatten_hw.host import BY_KEY, PAPER, FixedCounts, FixedRatios, PaperSchedule, Rules, read_workload
from spatten_hw.presets import SMALL as PAPER_ALONE
from spatten_hw.sim.engine import run_workload
from spatten_hw.sim.models.huggingface import SpAttenAttention
from spatten_hw.sim.models.huggingface.segment import Segment
from tests.models.huggingface.tiny import config, model, padding, tokens

SMALL = PAPER_ALONE.replace(decision_rules=1)
SCHEDULE = FixedRatios(keep_tokens=(1.0, 0.7, 0.4), keep_heads=(1.0, 1.0, 0.5), keep_values=0.6)
PRUNED = {"schedule": SCHEDULE, "protect_first": 1, "protect_last": 1, "record": True}
NARROW = {"k_bits": (6, 4), "v_bits": (6, 4), "q_bits": 10, "threshold": 0.3}


def compare(attention: SpAttenAttention, folder: Path) -> list[tuple[Segment, dict[str, object]]]:
    """Runs every dumped file; its outputs must be those that the model was given. Segments and reports."""
    files = attention.dump(folder)
    assert [f.stem for f in files] == [g.name for g in attention.segments]
    done = []
    for path, segment in zip(files, attention.segments, strict=True):
        result = run_workload(read_workload(path), SMALL, attention.options.engine)
        if attention.options.engine == "golden":
            np.testing.assert_array_equal(result.outputs.out, segment.out)
        else:
            np.testing.assert_allclose(result.outputs.out, segment.out, rtol=0, atol=1e-12)
        kept = [[np.flatnonzero(o.tokens).tolist() for o in p] for p in segment.outcomes]
        steps = result.outputs.step_token_kept
        assert kept == [[np.flatnonzero(layer).tolist() for layer in step] for step in steps]
        done.append((segment, result.report))
    return done


@pytest.mark.parametrize("engine", ["golden", "float"])
@pytest.mark.parametrize("name", ["bert", "llama"])
def test_a_prompt_is_a_workload(engine: str, name: str, tmp_path: Path) -> None:
    with torch.no_grad(), SpAttenAttention(SMALL, engine=engine, **PRUNED, **NARROW) as attention:
        model(config(name), "spatten")(input_ids=tokens(2, 20), attention_mask=padding("left", 20))
    for (segment, report), length in zip(compare(attention, tmp_path / "d"), (20, 17), strict=True):
        counts = SCHEDULE.counts(3, length, 2, 2)
        mine = [e.stats for e in attention.report.entries if e.sequence == segment.sequence]
        assert [s.tokens for s in mine] == list(counts.tokens) and [s.heads for s in mine] == [2, 2, 1]
        assert [x["bytes"] for x in report["layers"]] == [s.bytes for s in mine]
        assert [x["refetched"] for x in report["layers"]] == [s.refetched for s in mine]
        gone = ~segment.outcomes[0][2].tokens
        assert gone.sum() == length - counts.tokens[2] and not segment.out[2][:, gone].any()
        assert segment.out[2][:, ~gone].any()
        alive = np.zeros(20, dtype=bool)
        alive[20 - length:] = ~gone
        np.testing.assert_array_equal(attention.survivors[segment.sequence], alive)
    if engine == "golden":
        assert 0 < attention.report.total("refetched") < attention.report.total("queries")


@pytest.mark.parametrize("rules", [PAPER, BY_KEY], ids=["paper", "by-key"])
@pytest.mark.parametrize("engine", ["golden", "float"])
@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_generation_is_a_chain_of_workloads(engine: str, name: str, rules: Rules, tmp_path: Path) -> None:
    with torch.no_grad(), SpAttenAttention(SMALL, engine=engine, rules=rules, **PRUNED, **NARROW) as attention:
        model(config(name), "spatten").generate(
            tokens(2, 9), attention_mask=padding("left", 9), max_new_tokens=12, min_new_tokens=12, do_sample=False)
    done = compare(attention, tmp_path)
    for sequence in range(2):
        mine = [(g, r) for g, r in done if g.sequence == sequence]
        assert [g.generate for g, _ in mine] == [False] + [True] * (len(mine) - 1)
        assert mine[-1][0].first_step + len(mine[-1][0].outcomes) == 12
        for before, after in pairwise(mine):
            # Importance goes on from where the file before ends.
            end = run_workload(read_workload(tmp_path / f"{before[0].name}.npz"), SMALL, engine).outputs
            tokens_before = len(end.token_scores)
            np.testing.assert_allclose(after[0].token_scores[:tokens_before], end.token_scores, rtol=1e-12)
            np.testing.assert_allclose(after[0].head_scores, end.head_scores, rtol=1e-3)
        for segment, report in mine if engine == "golden" else ():
            stats = [e.stats for e in attention.report.entries if e.sequence == sequence]
            first = 3 * segment.first_step
            # The first layer loads importance; later ones differ only in how often it is stored.
            assert report["layers"][0]["bytes"] == stats[first].bytes
            for a, b in zip(report["layers"], stats[first:first + len(report["layers"])], strict=True):
                assert {k: v for k, v in a["bytes"].items() if k != "other"} == {
                    k: v for k, v in b.bytes.items() if k != "other"}
    if engine == "golden":
        clipped = [e.forward for e in attention.report.entries if e.clipped]
        starts = {g.first_step for g, _ in done if g.generate} - {1}
        assert starts == {forward + 1 for forward in clipped} - {12}


def test_the_same_again_gives_the_same() -> None:
    of, ids = config("bert"), tokens(1, 12)
    with torch.no_grad(), SpAttenAttention(schedule=PaperSchedule((0.2, 0.5)), protect_first=1) as attention:
        ours = model(of, "spatten")
        first, second = ours(input_ids=ids)[0], ours(input_ids=ids)[0]
    assert torch.equal(first, second)
    one, two = attention.report_of(0), attention.report_of(-1)
    assert one.bytes == two.bytes and attention.report.bytes == {k: 2 * v for k, v in one.bytes.items()}
    assert attention.report.dense_bytes == 2 * one.dense_bytes
    assert json.loads(json.dumps(attention.report.json))["forward_passes"] == 2


def test_outputs_beyond_their_unit_are_counted() -> None:
    with torch.no_grad(), SpAttenAttention(value_peak=1e-3) as attention:
        model(config("bert"), "spatten")(input_ids=tokens(1, 5))
    report = attention.report
    assert report.total("saturated") > 0 and report.value_peak > 1e-3
    with torch.no_grad(), SpAttenAttention(value_peak=report.value_peak) as attention:
        model(config("bert"), "spatten")(input_ids=tokens(1, 5))
    assert attention.report.total("saturated") == 0


def test_counts_that_prune_from_short_prompts() -> None:
    """One token, then more than the schedule keeps."""
    with torch.no_grad(), SpAttenAttention(schedule=FixedCounts(keep_tokens=3, keep_values=2)) as attention:
        model(config("llama"), "spatten").generate(tokens(1, 1), max_new_tokens=6, min_new_tokens=6, do_sample=False)
    last = [e.stats.tokens for e in attention.report.entries if e.stats.layer == 2]
    assert last == [1, 2, 3, 3, 3, 3]
