"""What a configuration takes of an FPGA, estimated in no time: to refuse what is too big before synthesis begins.

By the laws of the units (`spatten_hw/units.py`), which are fitted to what synthesis for ECP5 found of the presets: the
estimate decides whether synthesis is worth the wait, and no more. Other families are scaled from that.
"""

from __future__ import annotations

from collections.abc import Iterator

from spatten_hw.config import ConfigError, SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.units import area

from .devices import Device
from .families import Utilisation

#: The boards' system round the accelerator, without its memory.
SHELL = Utilisation(luts=2750, flip_flops=1320)
#: Other families, as parts of ECP5's numbers (small, measured on xc7): LUTs of 6 inputs, block RAMs of 36 kbit.
_XILINX = {"luts": 0.64, "flip_flops": 0.8, "brams": 0.465}
FACTORS = {"ecp5": {}, "xc7": _XILINX, "xcup": _XILINX}
#: Fields that make a design smaller, and others that must follow so that the configuration stays valid.
FIELDS: dict[str, tuple[str, ...]] = {
    "channels": (), "multipliers": ("chunk", "topk_lanes"), "chunk": (), "topk_lanes": (), "axi_data_bits": (),
    "pool_beats": (), "max_dim": (),
    "max_tokens": ("sram_tokens",), "sram_tokens": (), "operand_bits": (), "max_heads": ("max_group",),
}
#: Names in messages.
TITLES = {"luts": "LUTs", "flip_flops": "flip-flops", "dsps": "DSPs", "brams": "block RAMs"}


def estimate(config: SpAttenConfig, family: str = "ecp5") -> Utilisation:
    """What the accelerator takes of `family` (the presets within 10 %, but for block RAMs)."""
    sums = dict.fromkeys(TITLES, 0.0)
    for unit in area(config).values():
        for quantity, amount in unit.items():
            sums[quantity] += amount * FACTORS[family].get(quantity, 1)
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
              if name != "name" and value != config.fields[name]]
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
        if name == "multipliers":       # every channel has a slice
            changes["channels"] = min(config.channels, max(1, value // min(config.chunk, value)))
        try:
            yield config.replace(**changes)
        except ConfigError:
            continue
