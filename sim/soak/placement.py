"""Plans whose data lie anywhere: bases and strides as odd as the descriptor allows, pairs of K rows at random."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.builder import Planes, Write
from spatten_hw.host.layout import WORD_BYTES, Arena, Plane, pack_rows, row_bytes
from spatten_hw.host.plan import Plan
from spatten_hw.host.workload import Workload
from spatten_hw.interface.descriptor import STRIDE_BITS


class LooseArena(Arena):
    """Blocks follow one another with random gaps, on no boundary but those that the job's rules ask for; operand rows
    begin at any byte."""

    def __init__(self, config: SpAttenConfig, base: int, rng: random.Random):
        super().__init__(config, base)
        self.rng = rng
        self.align = max(WORD_BYTES, config.beat_bytes)

    def alloc(self, nbytes: int) -> int:
        self.next += self.align * self.rng.choice([0, 0, 1, self.rng.randrange(40)])
        return super().alloc(nbytes)

    def plane(self, heads: int, tokens: int, nbytes: int, stride: int | None = None, pair: bool = False) -> Plane:
        """Rows with up to two beats between them, heads with up to 200 bytes."""
        beat = self.config.beat_bytes
        size = nbytes * (1 + pair)
        room = min(size + self.rng.choice([0, 0, 1, beat, self.rng.randrange(2 * beat)]), (1 << STRIDE_BITS) - 1)
        stride = max(size, room) if stride is None else stride
        head_stride = tokens * stride + self.rng.choice([0, 0, 1, self.rng.randrange(200)])
        plane = Plane(0, head_stride, stride, nbytes, pair)
        offset = self.rng.randrange(beat)
        return dataclasses.replace(plane, base=self.alloc(plane.size(heads) + offset) + offset)

    def out_plane(self, heads: int, tokens: int, dim: int) -> Plane:
        """Whole beats, as outputs must be."""
        beat = self.config.beat_bytes
        row = -(-2 * dim // beat) * beat
        stride = row + beat * self.rng.choice([0, 0, 1, 3])
        plane = Plane(0, tokens * stride, stride, row)
        return dataclasses.replace(plane, base=self.alloc(plane.size(heads)))


class LoosePlan(Plan):
    """A plan with its data in a `LooseArena`, or in a usual one; `pairs`: K's MSB rows side by side wherever a job may
    have them so, else as the host would."""

    def __init__(self, workload: Workload, config: SpAttenConfig, arena: Arena, pairs: bool):
        self.pairs = pairs
        super().__init__(workload, config, arena=arena)

    def _planes(self) -> Planes:
        planes = super()._planes()
        s, o, c = self.workload.shape, self.workload.options, self.config
        if not self.pairs or s.group > 1 or 2 * s.dim > c.max_dim or c.max_group < 2 or planes["k_msb"].pair:
            return planes
        return {**planes, "k_msb": self.arena.plane(s.kv_heads, s.tokens, row_bytes(s.dim, o.k_bits[0]), pair=True)}

    def layer_data(self, layer: int) -> Iterator[Write]:
        """(address, bytes) of a layer's Q, K and V planes, head by head: there may be anything between heads."""
        for name, values, bits in self.builder.parts(**self.codes(layer)):
            yield from self.planes[layer][name].part(0, pack_rows(values, bits))
