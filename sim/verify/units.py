"""The units of the generator as the tests see them: which sources, which benches of their own."""

from __future__ import annotations

from dataclasses import dataclass

from .sites import ROOT

#: Tests of the whole accelerator that every unit's survivors are tried on: stages, widths, prunings, decision rules,
#: several queries per job, two sequences, queues, resets, errors and hostile memories on the tiny builds.
ACCELERATOR = (*(f"tests/integration/{test}[{build}]" for test, builds in (
    ("test_cascades.py::test_random_cascades_equal_the_golden_model", ("quad", "least", "wide")),
    ("test_rules.py::test_random_rules_equal_the_golden_model", ("quad", "least", "wide")),
    ("test_queries.py::test_random_queries_equal_the_golden_model", ("least", "wide"))) for build in builds),
    "tests/integration/test_jobs.py")


@dataclass(frozen=True)
class Unit:
    """`sources`: files or folders below spatten_hw/ (a file that a unit names is not another's that names its folder);
    `patterns`: the files of tests that are its own benches, from small to large."""

    name: str
    sources: tuple[str, ...]
    patterns: tuple[str, ...]

    @property
    def bench(self) -> tuple[str, ...]:
        """Files of tests, relative to the project's folder."""
        return tuple(str(path.relative_to(ROOT)) for pattern in self.patterns for path in sorted(ROOT.glob(pattern)))


UNITS = (
    Unit("bus", ("bus/",), ("tests/bus/test_*.py",)),
    Unit("fetch/row_feed", ("fetch/row_feed.py", "fetch/row_steps.py", "fetch/plane_slot.py", "fetch/converter.py",
                            "fetch/operand.py"),
         ("tests/fetch/test_row_feed.py", "tests/fetch/test_shared_path.py")),
    Unit("fetch/key_walk", ("fetch/key_walk.py", "fetch/plane.py"),
         ("tests/fetch/test_key_walk.py",)),
    Unit("fetch/shared", ("fetch/",),
         ("tests/fetch/test_shared*.py", "tests/fetch/test_fetcher.py", "tests/bus/test_channel_reader.py")),
    Unit("matmul/score", ("matmul/score.py", "matmul/score_unit.py", "matmul/dot_product.py", "matmul/issue.py",
                          "matmul/key_fill.py", "matmul/key_sram.py", "matmul/query_memory.py", "matmul/sram_issue.py",
                          "matmul/stream_issue.py"),
         ("tests/matmul/test_score.py", "tests/matmul/test_score_waits.py")),
    Unit("matmul/prob_value", ("matmul/",), ("tests/matmul/test_gang.py", "tests/matmul/test_prob_value.py")),
    Unit("primitives", ("primitives/",), ("tests/primitives/test_*.py",)),
    Unit("softmax", ("softmax/",), ("tests/softmax/test_arithmetic.py", "tests/softmax/test_score_slots*.py",
                                    "tests/softmax/test_softmax.py", "tests/softmax/test_by_key.py")),
    Unit("topk/engines", ("topk/",), ("tests/topk/test_pivot.py", "tests/topk/test_give_back.py",
                                      "tests/topk/test_engines.py", "tests/topk/test_mass.py")),
    Unit("topk/local", ("topk/local.py", "topk/threshold_filter.py", "topk/wide_rows.py"),
         ("tests/topk/test_local.py",)),
    Unit("prune/pruner", ("prune/",), ("tests/prune/test_accumulate.py", "tests/prune/test_pruner.py",
                                      "tests/prune/test_query_tokens.py", "tests/prune/test_tracking.py")),
    Unit("write/requantise", ("write/requantise.py", "write/rescale.py", "write/beat_packer.py"),
         ("tests/primitives/test_rescale.py", "tests/write/test_requantise.py")),
    Unit("write/writer", ("write/",), ("tests/write/test_given_back.py", "tests/write/test_bursts*.py",
                                     "tests/write/test_writer.py")),
    Unit("control/registers", ("control/csr.py", "control/axil.py", "control/counters.py"),
         ("tests/control/test_csr.py",)),
    Unit("control/jobs", ("control/job_reader.py", "control/decode.py", "control/validator.py",
                          "interface/validate.py"),
         ("tests/control/test_validate.py", "tests/control/test_job_reader.py")),
    Unit("control/sequencer", ("control/",),
         ("tests/control/test_loader.py", "tests/control/test_scale_table.py", "tests/control/test_walker.py",
          "tests/control/test_stages.py", "tests/control/test_blocks.py", "tests/control/test_sequencer*.py")),
    Unit("stream", ("stream/",), ("tests/stream/test_*.py",)),
)
BY_NAME = {unit.name: unit for unit in UNITS}


def unit_of(file: str) -> Unit | None:
    """The unit that a source below spatten_hw/ belongs to; None: it describes no hardware of a unit."""
    whole = next((u for u in UNITS if file in u.sources), None)
    return whole or next((u for u in UNITS if any(s.endswith("/") and file.startswith(s) for s in u.sources)), None)
