"""This accelerator, by the model of `sim/estimate`: the layers as pruned, as jobs of a cascade that follow each
other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from spatten_hw.config import ConfigError, SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.presets import PRESETS
from spatten_hw.sim.dram.timing import DramTiming
from spatten_hw.sim.estimate import Estimates, Work, estimate, sequence

from .layers import Layers
from .rival import Cost, Machine


def work_of(layers: Layers) -> Work:
    """The layers as jobs: each goes on with the survivors of the one before, the first of a prompt or step restarts."""
    # A layer that has more tokens than the one before begins anew; so does another context.
    first = np.ones(len(layers), dtype=bool)
    first[1:] = ((layers.tokens[1:] > layers.tokens[:-1]) | (layers.heads[1:] > layers.heads[:-1])
                 | (layers.context[1:] != layers.context[:-1]))
    before = np.where(first, layers.context, np.roll(layers.tokens, 1))
    heads_before = np.where(first, layers.model_heads, np.roll(layers.heads, 1))
    keys = layers.keys_per_query
    work = Work.expected(
        tokens=layers.tokens, heads=layers.heads, dim=layers.dim, generate=layers.generate, causal=layers.causal,
        group=layers.group, q_bits=layers.q_bits, k_bits=layers.k_bits, k_lsb_bits=layers.k_lsb_bits,
        v_bits=layers.v_bits, v_lsb_bits=layers.v_lsb_bits, keep_values=np.minimum(1, layers.keep / keys),
        flat=layers.flat, prunes_tokens=layers.tokens < before,
        prunes_heads=layers.heads < heads_before, tokens_before=before, heads_before=heads_before, continues=~first)
    return work.replace(context=layers.context, all_heads=layers.model_heads)


class SpAtten:
    """Of the machine's size: `eighth` (128 multipliers), `full` (1,024), or `full` with other sizes; `config`: always
    this build. `memory`: a model of DRAM instead of ports at full bandwidth."""

    name = "spatten"
    title = "this accelerator"
    source = "sim/estimate (docs/model.md)"
    assumptions = ("Token ids of survivors are random, as the model of cycles takes them.",
                   "Jobs of a layer each, queued back to back; ports answer after 8 cycles at full bandwidth.")

    def __init__(self, config: SpAttenConfig | None = None, memory: DramTiming | None = None):
        self.config, self.memory = config, memory

    def build(self, machine: Machine) -> SpAttenConfig:
        """The configuration of a machine. `UserError` if there is none."""
        if self.config is not None:
            return self.config
        for config in PRESETS.values():
            peak = config.channels * config.beat_bytes
            if (2 * config.multipliers, peak) == (machine.multipliers, machine.bytes_per_cycle):
                return config
        full = PRESETS["full"]
        try:
            return full.replace(name="custom", multipliers=machine.multipliers // 2,
                                channels=int(machine.bytes_per_cycle) // full.beat_bytes)
        except ConfigError as error:
            raise UserError(f"no build has {machine.multipliers} multipliers and {machine.bytes_per_cycle:g} bytes per "
                            f"cycle: {error}") from error

    def estimates(self, layers: Layers, machine: Machine) -> Estimates:
        """All that the model says, each layer by itself."""
        key = self._key(layers, machine)
        if key not in _ESTIMATES:
            self.prepare([layers], machine)
        return _ESTIMATES[key]

    def cost(self, layers: Layers, machine: Machine) -> Cost:
        """The cycles are those of all layers one after the other, shared out by what each needs at least."""
        found, key = self.estimates(layers, machine), self._key(layers, machine)
        if key not in _CYCLES:
            _CYCLES[key] = sequence(work_of(layers), self.build(machine), self.memory)
        least = np.max(list(found.busy.values()), axis=0)
        return Cost(_CYCLES[key] * least / least.sum(), found.total_bytes, layers.operations)

    def prepare(self, parts: Sequence[Layers], machine: Machine) -> None:
        """Asks the model for many at a time, which is faster."""
        new = {self._key(layers, machine): layers for layers in parts}
        new = {key: layers for key, layers in new.items() if key not in _ESTIMATES}
        if not new:
            return
        found = estimate(Work.joined([work_of(layers) for layers in new.values()]), self.build(machine), self.memory)
        ends = np.cumsum([len(layers) for layers in new.values()])
        for key, end in zip(new, ends, strict=True):
            _ESTIMATES[key] = _part(found, slice(end - len(new[key]), end))

    def _key(self, layers: Layers, machine: Machine) -> tuple[str, int, str]:
        return layers.digest, self.build(machine).hash, "" if self.memory is None else self.memory.name


#: What the model has said, by layers, configuration and memory: many parts of a page ask for the same.
_ESTIMATES: dict[tuple[str, int, str], Estimates] = {}
_CYCLES: dict[tuple[str, int, str], float] = {}


def _part(found: Estimates, which: slice) -> Estimates:
    """Some of the jobs."""
    def cut(value):
        return {name: array[which] for name, array in value.items()} if isinstance(value, dict) else value[which]

    return Estimates(**{f.name: cut(getattr(found, f.name)) for f in fields(found)})
