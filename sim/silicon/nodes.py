"""From one process to another: area, delay and energy of logic by published factors.

A. Stillmaker and B. Baas, "Scaling equations for the accurate prediction of CMOS device performance from 180 nm to 7
nm", Integration 58 (2017) 74–81: area by their table of factors, delay and energy by polynomials in the supply voltage
fitted to simulations of inverters with the Predictive Technology Model. 40 nm is none of their nodes: it lies on the
power law through 45 and 32 nm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """`area`: that of the same circuit over that at 180 nm. `delay`: of a stage, coefficients of V³, V², V, 1;
    `energy`: of a transition, of V², V, 1; `volts`: the supply that is assumed."""

    nm: float
    volts: float
    area: float
    delay: tuple[float, float, float, float]
    energy: tuple[float, float, float]

    def delay_at(self, volts: float) -> float:
        return sum(c * volts ** (3 - n) for n, c in enumerate(self.delay))

    def energy_at(self, volts: float) -> float:
        return sum(c * volts ** (2 - n) for n, c in enumerate(self.energy))


#: The nodes that are needed; high-performance transistors below 65 nm.
N180 = Node(180, 1.8, 1.0, (0, 97.09, -356.7, 406.5), (24.64, -17.98, 0))
N45 = Node(45, 0.9, 0.053, (-501.6, 1567, -1619, 566.1), (1.018, -0.3107, 0.1539))
N32 = Node(32, 0.9, 0.025, (-1047, 2982, -2797, 873.5), (0.8367, -0.4341, 0.1701))

#: What the paper's process is here: 40 nm at the nominal supply of general-purpose 40 nm logic.
TARGET_NM, TARGET_VOLTS = 40.0, 0.9


@dataclass(frozen=True)
class Factors:
    """What a figure at 180 nm and 1.8 V is multiplied by. `ideal_*`: by plain scaling, with length and (energy) the
    square of the voltage, for the error that the choice brings."""

    nm: float
    volts: float
    area: float
    delay: float
    energy: float
    ideal_area: float
    ideal_delay: float
    ideal_energy: float

    @property
    def as_json(self) -> dict[str, float]:
        return {name: round(value, 5) for name, value in vars(self).items()}


def factors(nm: float = TARGET_NM, volts: float = TARGET_VOLTS) -> Factors:
    """From 180 nm at 1.8 V to `nm` (32 … 45, or 180) at `volts`."""
    if nm == N180.nm:
        return Factors(nm, N180.volts, 1, 1, 1, 1, 1, 1)
    if not N32.nm <= nm <= N45.nm:
        raise ValueError(f"{nm:g} nm: factors are known of 180 nm, and of 32 to 45 nm")
    share = math.log(N45.nm / nm) / math.log(N45.nm / N32.nm)

    def between(a: float, b: float) -> float:
        return math.exp((1 - share) * math.log(a) + share * math.log(b))
    length, supply = nm / N180.nm, volts / N180.volts
    return Factors(
        nm, volts, between(N45.area, N32.area),
        between(N45.delay_at(volts), N32.delay_at(volts)) / N180.delay_at(N180.volts),
        between(N45.energy_at(volts), N32.energy_at(volts)) / N180.energy_at(N180.volts),
        length ** 2, length, length * supply ** 2)
