"""What a configuration takes of an FPGA, estimated in no time: to refuse what is too big before synthesis begins.

Every unit's look-up tables, flip-flops, multipliers and block RAMs on ECP5 follow laws with one or a few drivers each,
fitted to what synthesis found of `small`, `eighth` and `full` (docs/fpga-findings.md): the estimate decides whether
synthesis is worth the wait, and no more. Other families are scaled from that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from spatten_hw.config import ConfigError, SpAttenConfig
from spatten_hw.errors import UserError

from .devices import Device
from .families import Utilisation

#: What the laws depend on. `mults`: multiplier bits of an array; `ports`: data bits of all read requesters;
#: `crossing`: those of the crossbar, every requester with every channel; `beat`, `beats`: data bits of one channel, of
#: all; `multipliers` of an array, `lanes` of the softmax, keys per cycle of `topk`; `ram`: block RAMs of an array's two
#: halves, of 36 bits by 512 words at least; `vectors`: thousands of scores that the softmax holds.
DRIVERS = {
    "mults": lambda c: c.multipliers * c.operand_bits,
    "ports": lambda c: c.requesters * c.axi_data_bits,
    "crossing": lambda c: c.requesters * c.channels * c.axi_data_bits,
    "beat": lambda c: c.axi_data_bits,
    "beats": lambda c: c.channels * c.axi_data_bits,
    "multipliers": lambda c: c.multipliers,
    "lanes": lambda c: c.lanes,
    "topk": lambda c: c.topk_lanes,
    "ram": lambda c: c.multipliers * c.operand_bits * max(512, 2 * c.sram_rows) / 18432,
    "vectors": lambda c: c.slots * c.max_tokens / 1024,
}


@dataclass(frozen=True)
class Law:
    """constant + Σ slope · driver."""

    constant: float
    slopes: Mapping[str, float]

    def __call__(self, config: SpAttenConfig) -> float:
        return self.constant + sum(slope * DRIVERS[name](config) for name, slope in self.slopes.items())


def _law(constant: float, **slopes: float) -> Law:
    return Law(constant, slopes)


#: Unit → quantity → law, for ECP5.
LAWS: dict[str, dict[str, Law]] = {
    "fetcher": {"luts": _law(3120, ports=23.8, crossing=5.03), "flip_flops": _law(6350, ports=22, crossing=1.48),
                "dsps": _law(2, ports=0.0045), "brams": _law(0, ports=0.05)},
    "score": {"luts": _law(460, mults=6.13), "flip_flops": _law(700, mults=7.45), "dsps": _law(0, multipliers=1),
              "brams": _law(0, ram=1.03)},
    "prob_value": {"luts": _law(0, mults=8), "flip_flops": _law(1700, mults=9.7), "dsps": _law(0, multipliers=1),
                   "brams": _law(4, ram=1.07)},
    "softmax": {"luts": _law(2300, lanes=1630), "flip_flops": _law(1850, lanes=850), "dsps": _law(0, lanes=3),
                "brams": _law(3, vectors=3.9)},
    "local_topk": {"luts": _law(2470, topk=1160), "flip_flops": _law(1690, topk=475), "brams": _law(10, topk=1.6)},
    "requantiser": {"luts": _law(970, beat=34.7), "flip_flops": _law(750, beat=27), "dsps": _law(0.3, beat=0.1354)},
    "pruner": {"luts": _law(330, topk=1825, lanes=2395), "flip_flops": _law(2880, topk=1160, lanes=724),
               "dsps": _law(3), "brams": _law(11, topk=5.4, lanes=2)},
    "writer": {"luts": _law(1016, beats=2.3), "flip_flops": _law(203, beat=3.4)},
    "job_reader": {"luts": _law(1620), "flip_flops": _law(1320), "dsps": _law(3)},
    "sequencer": {"luts": _law(680, lanes=112), "flip_flops": _law(1700, lanes=40)},
    "registers": {"luts": _law(1260), "flip_flops": _law(630)},
    "scale_table": {"brams": _law(4)},
    "glue": {"luts": _law(480, lanes=33), "flip_flops": _law(910, lanes=60)},
}
#: The boards' system round the accelerator, without its memory.
SHELL = Utilisation(luts=2750, flip_flops=1320)
#: Other families, as parts of ECP5's numbers (small, measured on xc7): LUTs of 6 inputs, block RAMs of 36 kbit.
_XILINX = {"luts": 0.65, "flip_flops": 0.75, "brams": 0.45}
FACTORS = {"ecp5": {}, "xc7": _XILINX, "xcup": _XILINX}
#: Fields that make a design smaller, and others that must follow so that the configuration stays valid.
FIELDS: dict[str, tuple[str, ...]] = {
    "channels": (), "multipliers": ("max_dim",), "topk_lanes": (), "k_ports": (), "v_ports": (), "axi_data_bits": (),
    "max_dim": (), "max_tokens": ("sram_tokens",), "sram_tokens": (), "operand_bits": (), "max_heads": ("max_group",),
}
#: Names in messages.
TITLES = {"luts": "LUTs", "flip_flops": "flip-flops", "dsps": "DSPs", "brams": "block RAMs"}


def estimate(config: SpAttenConfig, family: str = "ecp5") -> Utilisation:
    """What the accelerator takes of `family` (the presets within 10 %, but for block RAMs)."""
    sums = dict.fromkeys(TITLES, 0.0)
    for laws in LAWS.values():
        for quantity, law in laws.items():
            sums[quantity] += max(0.0, law(config)) * FACTORS[family].get(quantity, 1)
    return Utilisation(luts=round(sums["luts"]), flip_flops=round(sums["flip_flops"]), dsps=round(sums["dsps"]),
                       brams=round(sums["brams"]))


def check_fit(config: SpAttenConfig, device: Device) -> None:
    """Raises `UserError` if `config` in the boards' system is too big for `device`, with the estimate and fields to
    lower."""
    over = _over(config, device)
    if not over:
        return
    found = ", ".join(f"{used:,.0f} {TITLES[name]} of {held:,.0f}" for name, (used, held) in over.items())
    smaller = _shrunk(config, device)
    fields = [f"--set {name}={value}" for name, value in smaller.fields.items()
              if name != "name" and value != getattr(config, name)]
    remedy = ("lower " + " ".join(fields) if not _over(smaller, device) else
              "no configuration near it fits; start from --preset small")
    raise UserError(f"'{config.name}' is too big for {device.name}: an estimated {found}; {remedy}")


def _over(config: SpAttenConfig, device: Device) -> dict[str, tuple[float, float]]:
    """Quantity → (estimate, what the device holds), where the estimate is more."""
    used = estimate(config, device.family.name) + SHELL
    return {name: (getattr(used, name), getattr(device.holds, name)) for name in TITLES
            if getattr(used, name) > getattr(device.holds, name)}


def _overuse(config: SpAttenConfig, device: Device) -> float:
    """By how much the scarcest resources are exceeded, as parts of what there is."""
    return sum(used / held - 1 for used, held in _over(config, device).values())


def _shrunk(config: SpAttenConfig, device: Device) -> SpAttenConfig:
    """`config` with fields halved, the one that helps most first, until it fits or nothing helps any more."""
    while _over(config, device):
        best = min(_halved(config), key=lambda c: _overuse(c, device), default=config)
        if _overuse(best, device) >= _overuse(config, device):
            return config
        config = best
    return config


def _halved(config: SpAttenConfig) -> Iterator[SpAttenConfig]:
    """Every valid configuration with one field halved."""
    for name, followers in FIELDS.items():
        value = getattr(config, name) // 2
        changes = {name: value} | {f: min(getattr(config, f), value) for f in followers}
        try:
            yield config.replace(**changes)
        except ConfigError:
            continue
