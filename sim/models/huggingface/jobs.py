"""The layer job of a layer that has just been handed over, laid out as `spatten_hw.host.plan` lays out a file."""

from __future__ import annotations

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.builder import JobBuilder
from spatten_hw.host.job import HeadScale, LayerJob
from spatten_hw.host.layout import Arena
from spatten_hw.host.shape import LayerShape
from spatten_hw.host.workload.options import JobOptions

from .options import Sizes
from .task import LayerTask


class Layout:
    """Addresses of one layer. All layers and steps have the same: one is done before the next one's rows come."""

    def __init__(self, config: SpAttenConfig, sizes: Sizes, options: JobOptions, tokens: int):
        self.sizes, self.options = sizes, options
        shape = LayerShape(sizes.dim, sizes.kv_heads, sizes.group)
        self.builder = builder = JobBuilder(config, shape, options.precision, Arena(config))
        rows = options.per_job if options.generate else tokens
        self.planes = {"q": builder.query_plane(rows),
                       **builder.key_value_planes(tokens), "out": builder.out_plane(rows)}
        self.ids, self.scores = builder.ids(tokens), builder.scores(tokens)
        self.descriptor = builder.descriptor()


def make_job(layout: Layout, task: LayerTask, scales: tuple[HeadScale, ...], clear: bool, load: bool) -> LayerJob:
    """The checked job. The first layer of a pass makes all tokens and heads alive again and clears or loads importance
    if told so; the last one stores it. Raises `JobRefused`."""
    o, s = layout.options, layout.sizes
    first, last = task.layer == 0, task.layer == s.layers - 1
    keep_tokens, keep_heads, keep_values = task.keep
    return layout.builder.job(
        layout.planes, task.tokens, scales, layout.descriptor, keep_tokens=keep_tokens, keep_heads=keep_heads,
        keep_values=keep_values, generate=int(task.generate), causal=int(task.causal), restart=int(first),
        **({"queries": task.queries} if task.queries > 1 else {}),
        clear_scores=int(first and clear), load_scores=int(first and load), store_ids=1, store_scores=int(last),
        protect_first=min(o.protect_first, task.tokens), protect_last=min(o.protect_last, task.tokens),
        ids_out=layout.ids, scores_in=layout.scores, scores_out=layout.scores)
