"""The units of the generator as the tests see them: which sources, which benches of their own."""

from __future__ import annotations

from dataclasses import dataclass

from .sites import ROOT

#: Tests of the whole accelerator that every unit's survivors are tried on: all stages, widths, prunings, two sequences,
#: queues, resets, errors and hostile memories on the tiny builds.
ACCELERATOR = (*(f"tests/integration/test_cascades.py::test_random_cascades_equal_the_golden_model[{build}]"
                 for build in ("quad", "least", "wide")), "tests/integration/test_jobs.py")


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
    Unit("fetch/row_port", ("fetch/row_port.py", "fetch/read_port.py", "fetch/aligner.py", "fetch/converter.py",
                             "fetch/conversion.py", "fetch/splitter.py", "fetch/word_reader.py", "fetch/chunk.py"),
         ("tests/fetch/test_aligner*.py", "tests/fetch/test_splitter*.py", "tests/fetch/test_converter.py",
          "tests/fetch/test_row_port.py", "tests/fetch/test_fetcher.py")),
    Unit("fetch/rows", ("fetch/",), ("tests/fetch/test_value_walk.py", "tests/fetch/test_fetcher.py")),
    Unit("matmul/score", ("matmul/",), ("tests/matmul/test_lane_scheduler*.py", "tests/matmul/test_score.py")),
    Unit("matmul/prob_value", ("matmul/prob_value.py", "matmul/value_array.py", "matmul/value_buffer.py"),
         ("tests/matmul/test_value_array*.py", "tests/matmul/test_prob_value.py")),
    Unit("primitives", ("primitives/",), ("tests/primitives/test_*.py",)),
    Unit("softmax", ("softmax/",), ("tests/softmax/test_arithmetic.py", "tests/softmax/test_score_slots*.py",
                                    "tests/softmax/test_softmax.py")),
    Unit("topk/quickselect", ("topk/",), ("tests/topk/test_row_filter*.py", "tests/topk/test_quickselect.py")),
    Unit("topk/linerate", ("topk/linerate.py", "topk/digit_histogram.py", "topk/digit_stage.py", "topk/key_groups.py"),
         ("tests/topk/test_linerate.py",)),
    Unit("topk/local", ("topk/local.py", "topk/row_filter.py"),
         ("tests/topk/test_row_filter*.py", "tests/topk/test_local.py")),
    Unit("prune/pruner", ("prune/",), ("tests/prune/test_state_load*.py", "tests/prune/test_pruner.py")),
    Unit("prune/scores", ("prune/score_memory.py", "prune/accumulate.py", "prune/widths.py"),
         ("tests/prune/test_accumulate.py", "tests/prune/test_widths.py", "tests/prune/test_score_memory.py",
          "tests/prune/test_pruner.py")),
    Unit("write/requantise", ("write/requantise.py", "write/rescale.py"),
         ("tests/primitives/test_rescale.py", "tests/write/test_requantise.py")),
    Unit("write/writer", ("write/",), ("tests/write/test_bursts*.py", "tests/write/test_writer.py")),
    Unit("control/registers", ("control/csr.py", "control/counters.py", "control/decode.py"),
         ("tests/control/test_csr.py",)),
    Unit("control/jobs", ("control/job_reader.py", "interface/validate.py", "control/validator.py"),
         ("tests/control/test_validate.py", "tests/control/test_job_reader.py")),
    Unit("control/sequencer", ("control/",),
         ("tests/control/test_loader.py", "tests/control/test_scale_table.py", "tests/control/test_walker.py",
          "tests/control/test_stages.py", "tests/control/test_sequencer*.py")),
    Unit("stream", ("stream/",), ("tests/stream/test_*.py",)),
)
BY_NAME = {unit.name: unit for unit in UNITS}


def unit_of(file: str) -> Unit | None:
    """The unit that a source below spatten_hw/ belongs to; None: it describes no hardware of a unit."""
    whole = next((u for u in UNITS if file in u.sources), None)
    return whole or next((u for u in UNITS if any(s.endswith("/") and file.startswith(s) for s in u.sources)), None)
