"""A model of whole texts whose attention runs on the accelerator, layer by layer, tokens and heads dropping out.

The host keeps rows of the surviving tokens only: what the accelerator prunes before a layer takes no part in that
layer's FFN, in any later layer or in what is made of the last rows. Planes are laid out by token number, so that a row
keeps its address; rows of pruned tokens are never read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.host.builder import JobBuilder, dense_rows_bytes
from spatten_hw.host.layout import Arena, Plane, Write
from spatten_hw.host.plan import LayerPass
from spatten_hw.host.quantise import quantise
from spatten_hw.host.shape import LayerShape, Precision, check_fits
from spatten_hw.host.workload.schedule import LayerCounts, PaperSchedule, Schedule

from .encoder import Encoder, Tokens
from .engines import Outcome

#: Width of Q, K and V: static, as the paper has it for BERT. 12 bits give the same cosines for 29 % more traffic.
BITS = 8
EIGHT = Precision(BITS, (BITS, 0), (BITS, 0))

#: Width of the dense attention that traffic is compared with.
DENSE_BITS = 12

#: Nothing is pruned.
DENSE = PaperSchedule()


def demo_schedule(layers: int, heads: int, last_tokens: float = 0.6, last_heads: int = 11,
                  values: float = 0.6) -> PaperSchedule:
    """The paper's schedule by what is left in the last layer: a part of the tokens, a number of heads.

    `values` is the part kept of the tokens alive. Tokens fall from all of them in the first layer after the front
    (the scores of one layer alone are a poor guide) to the last layer's ratio; heads in equal shares per layer.
    """
    steps = max(1, layers - math.ceil(0.3 * layers))
    lost = max(0, heads - last_heads)
    # Schedules round up what is kept; here the started share of a head goes as a whole one, hence this much more.
    more = (steps - 1) / steps
    return PaperSchedule(prune_tokens=(0.0, 1 - last_tokens), prune_values=1 - values,
                         prune_heads=((lost / steps + more) / heads, (lost + more) / heads))


@dataclass(frozen=True)
class LayerTask:
    """One layer for an engine: the pass (job, operands, addresses) and what to put into memory for it.

    It has what `Driver.run_layers` asks of a plan, a plan of one pass. `planes`: where, which integers, in which width.
    """

    layer_pass: LayerPass
    planes: tuple[tuple[Plane, np.ndarray, int], ...]

    @property
    def passes(self) -> list[LayerPass]:
        return [self.layer_pass]

    def layer_data(self, layer: int) -> Iterator[Write]:
        """The operand planes."""
        for plane, values, bits in self.planes:
            yield from plane.images(plane.pack(values, bits))

    def scores_to_load(self, p: LayerPass, stored: np.ndarray | None) -> None:
        """Scores stay in the accelerator from layer to layer."""


Engine = Callable[[LayerTask], Outcome]


@dataclass
class LayerTrace:
    """Who was alive in a layer, and what it cost."""

    tokens: list[int]
    heads: list[int]
    bytes: dict[str, int]


@dataclass
class Encoding:
    """What the model made of a text, a sentence vector or logits, and the way to it."""

    vector: np.ndarray
    layers: list[LayerTrace] = field(default_factory=list)


class PrunedEncoder:
    """`model` with attention on `config` under `schedule`, operands in `precision`; `pool_dropped`: as in
    `Encoder.encode`."""

    def __init__(self, model: Encoder, config: SpAttenConfig, schedule: Schedule, precision: Precision = EIGHT,
                 pool_dropped: bool = False):
        self.model, self.config, self.schedule, self.precision = model, config, schedule, precision
        self.pool_dropped = pool_dropped
        check_fits(model.title, config, LayerShape(model.dim, model.heads), precision)

    def check(self, tokens: int) -> None:
        """Refuses a text of too many tokens."""
        most = min(self.config.max_tokens, self.model.max_tokens)
        if tokens > most:
            raise UserError(f"the text has {tokens} tokens, at most {most} are possible on '{self.config.name}': "
                            "shorten it")

    def encode(self, tokens: Tokens, engine: Engine) -> Encoding:
        """What the model makes of a text, every layer's attention on `engine`."""
        self.check(len(tokens))
        result = Encoding(np.zeros(0))
        layout = _Layout(self.config, self.model, len(tokens), self.precision)
        keep = self.schedule.counts(self.model.layers, len(tokens), self.model.heads,
                                    sum(self.model.protected) + 1)
        alive = np.arange(len(tokens))

        def attention(layer: int, *qkv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            nonlocal alive
            outcome = engine(self._task(layer, layout, keep, alive, qkv))
            survivors = np.flatnonzero(outcome.tokens_alive)
            kept = np.searchsorted(alive, survivors)
            alive = survivors
            result.layers.append(LayerTrace(survivors.tolist(), np.flatnonzero(outcome.heads_alive).tolist(),
                                            dict(outcome.bytes)))
            return outcome.out[:, survivors] * self.model.out_unit, kept

        result.vector = self.model.encode(tokens, attention, self.pool_dropped)
        return result

    def _task(self, layer: int, layout: _Layout, keep: LayerCounts, alive: np.ndarray,
              qkv: tuple[np.ndarray, ...]) -> LayerTask:
        model, p = self.model, self.precision
        codes, scales = zip(*(quantise(x, bits) for x, bits in zip(qkv, p.whole, strict=True)), strict=True)
        full = []
        for values in codes:
            rows = np.zeros((model.heads, layout.tokens, model.dim), dtype=np.int64)
            rows[:, alive] = values
            full.append(rows)
        builder, (first, last) = layout.builder, model.protected
        job = builder.job(
            layout.planes, layout.tokens, builder.scales(dict(zip("qkv", scales, strict=True)), model.out_unit),
            layout.descriptor, keep_tokens=keep.tokens[layer], keep_heads=keep.heads[layer],
            keep_values=keep.values[layer], restart=int(layer == 0), clear_scores=int(layer == 0), store_ids=1,
            protect_first=first, protect_last=last, ids_out=layout.ids)
        q, k, v = full
        images = tuple((layout.planes[name], values, bits) for name, values, bits in builder.parts(q=q, k=k, v=v))
        return LayerTask(LayerPass(0, layer, job, layout.descriptor, layout.planes["out"], q, k, v), images)


class _Layout:
    """Addresses, the same for all layers of a sentence: a layer is done before the next one's rows are written."""

    def __init__(self, config: SpAttenConfig, model: Encoder, tokens: int, precision: Precision):
        self.tokens = tokens
        self.builder = builder = JobBuilder(config, LayerShape(model.dim, model.heads), precision, Arena(config))
        self.planes = {"q": builder.query_plane(tokens), **builder.key_value_planes(tokens),
                       "out": builder.out_plane(tokens)}
        self.ids, self.descriptor = builder.ids(tokens), builder.descriptor()


def dense_bytes(model: Encoder, tokens: int) -> int:
    """Bytes of the same attention dense in `DENSE_BITS`, every row of Q, K and V once, 16-bit outputs."""
    rows = model.heads * tokens
    return model.layers * dense_rows_bytes(rows, rows, model.dim, DENSE_BITS)
