"""One model of `spatten-hw evaluate`: its text, its grid measured, its check on the Verilog, its part of the JSON."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from spatten_hw.sim.status import Status

if TYPE_CHECKING:
    from spatten_hw.config import SpAttenConfig
    from spatten_hw.sim.evaluate.decoder import DecoderBench
    from spatten_hw.sim.evaluate.encoder import EncoderBench
    from spatten_hw.sim.evaluate.summary import Summary


def task_context(args: argparse.Namespace) -> int:
    return args.context or (512 if args.quick else 1024)


def endless_cache(args: argparse.Namespace) -> int:
    """Tokens of the prompt of a text without end, and of its cache."""
    return args.context or (128 if args.quick else 512)


def evaluate(model: str, series: list, config: SpAttenConfig, args: argparse.Namespace, status: Status) -> Summary:
    """One model's grid, measured or taken from what an earlier run has left in the folder."""
    from spatten_hw.sim.evaluate.grid import unique
    from spatten_hw.sim.evaluate.inputs import (
        classifier_bench,
        decoder_bench,
        encoder_bench,
        endless_bench,
        language_bench,
        tasks_bench,
    )
    from spatten_hw.sim.evaluate.point import Point
    from spatten_hw.sim.evaluate.runner import run_points
    from spatten_hw.sim.evaluate.store import Store
    from spatten_hw.sim.evaluate.summary import Summary

    status.show(f"{model}: reading model and text")
    bench: EncoderBench | DecoderBench  # LanguageBench is one
    if model == "encoder":
        bench, about = encoder_bench(config, args.text, args.sentences or (60 if args.quick else 200))
    elif model == "classifier":
        bench, about = classifier_bench(config, args.text, args.sentences or (60 if args.quick else None))
    elif args.tasks:
        status.show("smollm2: reading model, writing tasks")
        bench, about = tasks_bench(config, task_context(args), 1 if args.quick else 2)
    elif args.endless:
        status.show("smollm2: reading model and text, the dense model on it")
        bench, about = endless_bench(config, args.text, args.windows or 1, endless_cache(args), args.endless)
    elif model == "smollm2":
        status.show("smollm2: reading model and text, scales of every window")
        windows, context, steps = (4, 256, 32) if args.quick else (20, 1024, 128)
        bench, about = language_bench(config, args.text, args.windows or windows, args.context or context,
                                      args.steps or steps)
    else:
        bench, about = decoder_bench(config, args.text, args.windows or (8 if args.quick else 40), args.weights)
    # Losses are against float; of a text without end, against float on the same cache.
    exact = Point(model, None)
    if args.endless:
        exact = Point(model, None, evict=series[0].points[0].evict, cache=series[0].points[0].cache)
    grid = [*series, type(series[0])("float", (exact,))]
    points = unique(grid)

    def progress(done: int, total: int, what: str) -> None:
        bar = "█" * (20 * done // total)
        status.show(f"{model} {bar:░<20} {done}/{total} {what}")

    results = run_points(bench, points, str(about["data"]), Store(args.output / "points.jsonl"), args.workers, progress)
    summary = Summary(model, grid, results, about, exact)
    if args.rtl_check:
        summary.rtl = _spot_check(summary, bench, args.rtl_check, status)
    return summary


def _spot_check(summary: Summary, bench, count: int, status: Status) -> dict:
    """The cheapest point within 1 % (without one: the first), on the Verilog."""
    from spatten_hw.sim.evaluate.rtl import hardware

    whole = [p for p in summary.priced if not p.evict]  # layers whole: what a check compares
    best = summary.best("bytes", 0.01)
    point = best if best in whole else whole[0]
    with hardware(bench.config, status.show) as check:
        status.show(f"{summary.model}: {count} on the simulated Verilog, {point.label}")
        getattr(check, summary.model)(bench, point, count)
        return {"point": point.label, "inputs": count, "layers": check.layers, "cycles": check.cycles,
                "mismatches": check.mismatches}


def rtl_line(summary: Summary) -> str:
    rtl = summary.rtl or {}
    what = {"encoder": "sentences", "classifier": "texts"}.get(summary.model, "windows")
    verdict = "DIFFERENT" if rtl["mismatches"] else "equal bit for bit"
    return (f"on the Verilog ({rtl['point']}): {rtl['inputs']} {what}, {rtl['layers']} layer jobs, {rtl['cycles']:,} "
            f"cycles, {verdict}")


def as_json(summaries: list[Summary], config: SpAttenConfig) -> bytes:
    table = {"preset": config.name, "config_hash": f"{config.hash:08x}",
             "models": {s.model: s.as_json() for s in summaries}}
    return (json.dumps(table, indent=1) + "\n").encode()
