"""Decision rules of a job beside the paper's, in a user's units: LSBs by key, values by mass, dropped mass given back.

They combine freely, with each other and with the paper's rules, which are what a job has by default.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..config import PROB_BITS
from ..interface.descriptor import FIELDS
from .scales import Y_FRACTION

#: Largest margin of a job, in nats: exponents end at 32 octaves.
MOST_NATS = 22
_MOST_MARGIN = (1 << next(f.width for f in FIELDS if f.name == "lsb_margin")) - 1


@dataclass(frozen=True)
class Rules:
    """Which LSBs a query takes, which values it uses, and what it makes of them.

    `lsb_margin`: *LSBs by key*, in steps of generation: flat queries take the LSBs of those keys alone whose score, by
    K's MSBs, lies within so many nats of the largest, 0 … 22; None: of all keys.
    `keep_mass`: *values by mass*: the most probable values that make up this part of all probability, above 0, up to 1;
    `keep_values` is their most count. None: by count alone.
    `give_back`: *what was dropped is given back*: outputs times all probability / that of the values used.
    """

    lsb_margin: float | None = None
    keep_mass: float | None = None
    give_back: bool = False

    def broken(self, k_lsb: int) -> Iterator[tuple[str, str, str]]:
        """(field, what is wrong with it, remedy) of everything wrong, for K with `k_lsb` bits in its LSB plane."""
        if self.lsb_margin is not None:
            if not _number(self.lsb_margin) or not 0 <= self.lsb_margin <= MOST_NATS:
                yield ("lsb_margin", f"is {_show(self.lsb_margin)}, must be a number 0 … {MOST_NATS} (nats)",
                       "leave it out for the LSBs of all keys")
            elif not k_lsb:
                yield ("lsb_margin", "is given, but K has no LSBs", "give K some, for example [4, 4], or leave it out")
        if self.keep_mass is not None and (not _number(self.keep_mass) or not 0 < self.keep_mass <= 1):
            yield ("keep_mass", f"is {_show(self.keep_mass)}, must be a number above 0, at most 1",
                   "leave it out to keep values by count alone")
        if not isinstance(self.give_back, bool):
            yield "give_back", f"is {_show(self.give_back)}, must be true or false", "use false for none of it"

    @property
    def mass_share(self) -> int:
        """`keep_mass` in units of 2^−12; 0: none."""
        return 0 if self.keep_mass is None else max(1, round(self.keep_mass * (1 << PROB_BITS)))

    def fields(self, generate: bool) -> dict[str, int]:
        """The fields of a job. A prompt's LSBs come once for all of its queries: by key there is nothing to save, and
        its flat queries take those of all keys."""
        fields = {"mass_share": self.mass_share, "give_back": int(self.give_back)}
        if self.lsb_margin is not None and generate:
            octaves = self.lsb_margin / math.log(2)
            fields |= {"lsb_by_key": 1, "lsb_margin": min(_MOST_MARGIN, round(octaves * (1 << Y_FRACTION)))}
        return fields


def _number(x: object) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool)


def _show(x: object) -> str:
    text = repr(x)
    return text if len(text) <= 40 else text[:37] + "..."


#: The paper's rules alone.
PAPER = Rules()
#: What language models want that nobody fine-tuned for pruning; with K in 4 + 4 bits and a threshold of 1.
BY_KEY = Rules(lsb_margin=3.0, keep_mass=0.9, give_back=True)
