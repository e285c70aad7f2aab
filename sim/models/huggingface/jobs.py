"""The layer job of a layer that has just been handed over, laid out as `spatten_hw.host.plan` lays out a file."""

from __future__ import annotations

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.job import HeadScale, LayerJob, check, descriptor_bytes
from spatten_hw.host.layout import WORD_BYTES, Arena, Plane, pairs_save, row_bytes
from spatten_hw.host.workload.options import JobOptions

from .options import Sizes
from .task import LayerTask


class Layout:
    """Addresses of one layer. All layers and steps have the same: one is done before the next one's rows come."""

    def __init__(self, config: SpAttenConfig, sizes: Sizes, options: JobOptions, tokens: int):
        self.config, self.sizes, self.options = config, sizes, options
        arena = Arena(config)
        rows = 1 if options.generate else tokens

        def plane(heads: int, count: int, bits: int, pair: bool = False) -> Plane:
            return arena.plane(heads, count, row_bytes(sizes.dim, bits), pair=pair)

        self.pair = (options.generate and sizes.group == 1
                     and pairs_save(config, sizes.kv_heads, sizes.dim, options.k_bits[0]))
        self.planes = {"q": plane(sizes.query_heads, rows, options.q_bits),
                       "k_msb": plane(sizes.kv_heads, tokens, options.k_bits[0], self.pair),
                       "v_msb": plane(sizes.kv_heads, tokens, options.v_bits[0])}
        for name, (_, lsb) in (("k_lsb", options.k_bits), ("v_lsb", options.v_bits)):
            if lsb:
                self.planes[name] = plane(sizes.kv_heads, tokens, lsb)
        self.out = arena.out_plane(sizes.query_heads, rows, sizes.dim)
        self.ids = arena.alloc(WORD_BYTES * (1 + tokens + sizes.kv_heads))
        self.scores = arena.alloc(WORD_BYTES * (tokens + sizes.kv_heads))
        self.descriptor = arena.alloc(descriptor_bytes(sizes.query_heads))

    @property
    def fields(self) -> dict[str, int]:
        """Addresses and strides as a job names them."""
        result = {"ids_out": self.ids, "scores_in": self.scores, "scores_out": self.scores}
        for name, plane in (*self.planes.items(), ("out", self.out)):
            result |= {f"{name}_base": plane.base, f"{name}_head_stride": plane.head_stride,
                       f"{name}_token_stride": plane.token_stride}
        return result


def make_job(layout: Layout, task: LayerTask, scales: tuple[HeadScale, ...], clear: bool, load: bool) -> LayerJob:
    """The checked job. The first layer of a pass makes all tokens and heads alive again and clears or loads importance
    if told so; the last one stores it. Raises `JobRefused`."""
    o, s = layout.options, layout.sizes
    first, last = task.layer == 0, task.layer == s.layers - 1
    names = ("keep_tokens", "keep_heads", "keep_values")
    keep = {name: count for name, count in zip(names, task.keep, strict=True) if count is not None}
    job = LayerJob(
        dim=s.dim, tokens=task.tokens, scales=scales, generate=int(task.generate), causal=int(task.causal),
        restart=int(first), clear_scores=int(first and clear), load_scores=int(first and load), store_ids=1,
        store_scores=int(last), pair=int(layout.pair), q_bits=o.q_bits, k_msb=o.k_bits[0], k_lsb=o.k_bits[1],
        v_msb=o.v_bits[0], v_lsb=o.v_bits[1], threshold=o.threshold_code, heads=s.kv_heads, group=s.group,
        protect_first=min(o.protect_first, task.tokens), protect_last=min(o.protect_last, task.tokens),
        **keep, **layout.fields)
    check(job, layout.config, layout.descriptor)
    return job
