"""What a field of a sweep may be: one value, a list of them, or a range; each mistake in one line."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spatten_hw.errors import UserError

#: Checks a value and returns it as the sweep has it; `ValueError` says what it must be.
Check = Callable[[object], object]
#: Most values that a range with steps may have.
MOST_VALUES = 100_000


@dataclass(frozen=True)
class Choices:
    """The values of a field: those listed, or any number in `low` … `high` (`whole`: whole numbers alone)."""

    listed: tuple[object, ...] = ()
    low: float = 0
    high: float = 0
    whole: bool = False

    def draw(self, rng: random.Random) -> object:
        """One of them, each as likely as any other."""
        if self.listed:
            return rng.choice(self.listed)
        # Rounded, so that the table shows what was used, and the same file gives the same points anywhere.
        return rng.randint(int(self.low), int(self.high)) if self.whole else float(
            f"{rng.uniform(self.low, self.high):.6g}")


def choices(where: str, value: object, check: Check) -> Choices:
    """What a field of a file may be. `where`: file, section and field, for the `UserError`."""
    if isinstance(value, dict):
        return _range(where, value, check)
    entries = value if isinstance(value, list) else [value]
    if not entries:
        raise UserError(f"{where}: is an empty list; give one value or more")
    checked = tuple(_checked(where, entry, check) for entry in entries)
    twice = next((x for n, x in enumerate(checked) if x in checked[:n]), None)
    if twice is not None:
        raise UserError(f"{where}: has {twice!r} twice; give every value once")
    return Choices(checked)


def _checked(where: str, value: object, check: Check) -> object:
    try:
        return check(value)
    except ValueError as error:
        raise UserError(f"{where} = {_short(value)}: {error}") from None


def _range(where: str, table: Mapping[str, object], check: Check) -> Choices:
    """`{from, to}` for draws; with `step` or `times` a list."""
    steps = [name for name in ("step", "times") if name in table]
    unknown = sorted(set(table) - {"from", "to", "step", "times"})
    if unknown or "from" not in table or "to" not in table or len(steps) > 1:
        raise UserError(f"{where}: a range is {{from = …, to = …}}, with step = … or times = … for every value of it"
                        + (f"; it has {', '.join(unknown)}" if unknown else ""))
    for name, number in table.items():
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not abs(number) < 1e15:
            raise UserError(f"{where}: {name} = {_short(number)}: must be a number")
    low, high = (_checked(where, table[end], check) for end in ("from", "to"))
    if isinstance(low, bool) or not isinstance(low, (int, float)) or not isinstance(high, (int, float)):
        raise UserError(f"{where}: is not a number, so it has no ranges; give a list")
    if low > high:
        raise UserError(f"{where}: from = {low:g} is above to = {high:g}; exchange them")
    if not steps:
        return Choices(low=low, high=high, whole=isinstance(low, int) and isinstance(high, int))
    step: float = table[steps[0]]  # type: ignore[assignment]
    if step <= 0 or (steps == ["times"] and (step <= 1 or low <= 0)):
        raise UserError(f"{where}: {steps[0]} = {step:g} leads nowhere; give step above 0, or times above 1 and from "
                        "above 0")
    found: list[object] = []
    for n in range(MOST_VALUES):
        # Not added up, so that errors of rounding do not add up either.
        number = low + n * step if steps == ["step"] else low * step**n
        if number > high * (1 + 1e-12):
            return Choices(tuple(found))
        found.append(_checked(where, number if isinstance(number, int) else float(f"{number:.12g}"), check))
    raise UserError(f"{where}: has more than {MOST_VALUES:,} values; take larger steps")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
