"""Request files as cascades: what is planned, what the golden model makes of it, what is refused."""

import numpy as np
import pytest

from spatten_hw.errors import UserError
from spatten_hw.sim.bench.cascade import plan_cascade, steps_of
from spatten_hw.sim.bench.requests import RequestFile
from spatten_hw.sim.bench.workload import check_flat
from spatten_hw.sim.golden.integer_engine import golden_results
from tests.integration.builds import QUAD

from .files import CASCADE, cascade_rows, row, text


def read(tmp_path, rows, limit=None):
    path = tmp_path / "c.csv"
    path.write_text(text(*rows))
    return RequestFile.read(path, QUAD, limit)


def test_a_cascade_prunes_what_the_file_says(tmp_path):
    planned = plan_cascade(read(tmp_path, cascade_rows(CASCADE, flat="True")), QUAD)
    jobs = planned.plan.jobs
    assert [int(r.tokens_alive.sum()) for r in planned.results] == [keys for step in CASCADE for keys, _ in step]
    assert [(j.restart, j.clear_scores, j.load_ids, j.store_ids) for j in jobs] == [
        (1, 1, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0), (1, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0), (1, 0, 0, 0), (0, 0, 0, 0),
        (0, 0, 0, 1)]
    check_flat(planned, planned.results)
    assert [r.refetched[:, 0].tolist() for r in planned.results] == [[True, False]] * 9
    for i, (before, after) in enumerate(zip(planned.results, planned.results[1:], strict=False)):
        if (i + 1) % 3:
            assert not np.any(after.tokens_alive & ~before.tokens_alive), "a pruned token came back within an iteration"
    # The newest token of an iteration has no importance yet, and stays.
    assert all(r.tokens_alive[-1] for r in planned.results)
    assert len({j.k_msb_base for j in jobs}) == 3, "every layer has planes of its own"
    assert jobs[0].k_msb_base == jobs[3].k_msb_base


def test_planning_ahead_is_what_the_golden_model_does(tmp_path):
    """Run again from reset, the jobs leave the same; importance decides who stays."""
    planned = plan_cascade(read(tmp_path, cascade_rows(CASCADE)), QUAD)
    again = golden_results(planned.plan, QUAD)
    for a, b in zip(planned.results, again, strict=True):
        assert np.array_equal(a.out, b.out) and np.array_equal(a.tokens_alive, b.tokens_alive) and a.bytes == b.bytes
    assert np.array_equal(planned.results[-1].scores, again[-1].scores) and again[-1].scores[:40].max() > 0
    first = np.flatnonzero(planned.results[2].tokens_alive)
    assert not np.array_equal(first, np.arange(30)), "the best thirty are not just the first"


def test_limits_cut_at_whole_iterations(tmp_path):
    rows = cascade_rows(CASCADE)
    for limit, iterations in ((6, 1), (11, 1), (12, 2), (17, 2), (18, 3), (100, 3), (None, 3)):
        file = read(tmp_path, rows, limit and limit + 1)
        assert len(steps_of(file, limit)) == iterations, limit
    with pytest.raises(UserError, match=r"--limit 5: cuts the first iteration of .*c\.csv"):
        steps_of(read(tmp_path, rows, 6), 5)


def swapped(rows, a, b):
    rows = list(rows)
    rows[a], rows[b] = rows[b], rows[a]
    return rows


ROWS = cascade_rows(CASCADE)
ODD = row(iteration_id=2, layer_id=2, head_id=1, sentence_length_L=42, key_fetch_num=24, value_fetch_num=3)


@pytest.mark.parametrize(("rows", "words"), [
    (cascade_rows([[(20, 2), (21, 2)]]), "line 4: key_fetch_num grows to 21, 20 tokens are alive"),
    (ROWS[:17], "line 18: layer 2 has 1 heads, the first one 2"),
    (ROWS[:16], "line 14: iteration 2 has 2 layers, the first one 3"),
    ([*ROWS, *ROWS[:6]], "line 20: iteration 0 goes on after another"),
    (swapped(ROWS, 0, 1), "line 2: head_id is 1 where head 0 is due"),
    (ROWS[2:4] + ROWS[:2] + ROWS[4:], "line 2: layer_id is 1 where layer 0 is due"),
    ([*ROWS[:17], ODD], "line 19: head 1 differs from head 0"),
    (ROWS[:6] + cascade_rows([[], CASCADE[1]], embedding_length_D=8), "line 8: layer 0 has another"),
    (ROWS[:2] + cascade_rows(CASCADE, tokens=41)[2:], "line 4: layer 1 has another"),
])
def test_what_is_no_cascade_is_refused(rows, words, tmp_path):
    with pytest.raises(UserError) as e:
        steps_of(read(tmp_path, rows))
    message = str(e.value)
    assert words in message and "c.csv" in message and "not a cascade; " in message and "\n" not in message


def test_too_many_heads(tmp_path):
    with pytest.raises(UserError, match="9 heads in a layer, 'quad' has max_heads = 8"):
        plan_cascade(read(tmp_path, cascade_rows([[(20, 2)]], heads=9)), QUAD)
