"""Plans whose data lie anywhere: bases and strides as odd as the descriptor allows."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator

from spatten_hw.config import SpAttenConfig
from spatten_hw.host.layout import Arena, Plane, Write
from spatten_hw.host.plan import Plan
from spatten_hw.host.rows import nibble_align
from spatten_hw.host.words import WORD_BYTES
from spatten_hw.interface.descriptor import STRIDE_BITS


class LooseArena(Arena):
    """Blocks follow one another with random gaps, on no boundary but those that the job's rules ask for."""

    def __init__(self, config: SpAttenConfig, base: int, rng: random.Random):
        super().__init__(config, base)
        self.rng = rng
        self.align = max(WORD_BYTES, config.beat_bytes)

    def alloc(self, nbytes: int) -> int:
        self.next += self.align * self.rng.choice([0, 0, 1, self.rng.randrange(40)])
        return super().alloc(nbytes)

    def plane(self, heads: int, tokens: int, nbytes: int, *, steps: bool = False) -> Plane:
        """Rows with up to three beats between them, heads with up to seven."""
        beat = self.config.beat_bytes
        row = self.whole_beats(nbytes)
        room = row + beat * self.rng.choice([0, 0, 1, self.rng.randrange(4)])
        stride = room if room < 1 << STRIDE_BITS else row
        places = tokens if steps else -(-tokens // self.config.channels)
        head_stride = places * stride + beat * self.rng.choice([0, 0, 1, self.rng.randrange(8)])
        plane = Plane(0, head_stride, stride, nbytes, self.config.channels, steps, nibble_align(self.config))
        return dataclasses.replace(plane, base=self.alloc(plane.size(heads)))


class LoosePlan(Plan):
    """A plan whose planes are written row by row: there may be anything between heads."""

    def layer_data(self, layer: int) -> Iterator[Write]:
        """A layer's Q, K and V planes."""
        for name, values, bits in self.builder.parts(**self.plane_codes(layer)):
            yield from self.planes[layer][name].part(0, self.planes[layer][name].pack(values, bits))
