"""Whether a refusal is one that a user can do something with: it names the field, its value and a remedy that helps.

Every line of a `ConfigError` reads `field = value: rule; remedy`. `mended` does what remedies say, one after the
other, and must come to a legal configuration.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import Any

from spatten_hw.config import ConfigError, SpAttenConfig

LINE = re.compile(r"(?P<field>\w+) = (?P<value>.*?): (?P<rule>must .+); (?P<remedy>.+)")
#: Remedies that may be needed until nothing is left: one may bring up another.
STEPS = 400


def complaints(fields: Mapping[str, object], violations: list[str], seed: int) -> list[str]:
    """What is wrong with the refusal of `fields`, in words; nothing, if it is as it should be."""
    found = []
    if not violations:
        found.append("refused without a reason")
    for line in violations:
        match = LINE.fullmatch(line)
        if match is None:
            found.append(f"not 'field = value: rule; remedy': {line}")
        elif match["field"] not in fields or match["value"] != repr(fields[match["field"]]):
            found.append(f"the field or its value is another: {line}")
    if found:
        return found
    try:
        mended(fields, seed)
    except ValueError as error:
        found.append(str(error))
    return found


def mended(fields: Mapping[str, object], seed: int) -> SpAttenConfig:
    """The configuration that comes of doing what the refusals say, those of the results too. Raises `ValueError` if a
    remedy cannot be followed, or if they lead nowhere."""
    rng = random.Random(f"mend {seed}")
    now: dict[str, Any] = dict(fields)
    for _ in range(STEPS):
        try:
            return SpAttenConfig(**now)
        except ConfigError as error:
            line = rng.choice(error.violations)
        match = LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"not 'field = value: rule; remedy': {line}")
        _follow(now, match, rng)
    raise ValueError(f"{STEPS} remedies followed, and still refused: {line}")


def _follow(fields: dict[str, Any], line: re.Match[str], rng: random.Random) -> None:
    """Changes `fields` as a remedy says: `use A or B`, `choose a value in A … B`, `raise X to N or lower Y`."""
    name, remedy = line["field"], line["remedy"]
    if remedy == "give a whole number":
        fields[name] = SpAttenConfig.__dataclass_fields__[name].default
    elif match := re.fullmatch(r"choose a value in (\d+) … (\d+)", remedy):
        low, high = int(match[1]), int(match[2])
        fields[name] = min(max(fields[name], low), high)
    elif remedy.startswith("use "):
        values = re.findall(r"'(\w+)'|\b(\d+)(?= \(| or|$)", remedy)
        text, number = rng.choice(values)
        fields[name] = text or int(number)
    else:
        # "raise A to 8, or lower B or C": the verb goes on.
        ways: list[str] = []
        for part in re.split(r",? or ", remedy):
            ways.append(part if " " in part else f"{ways[-1].split()[0]} {part}")
        match = re.fullmatch(r"(raise|lower) (\w+)(?: to (\d+))?", rng.choice(ways))
        if match is None or match[2] not in fields:
            raise ValueError(f"a remedy that names no field: {line[0]}")
        step = fields[match[2]] * 2 if match[1] == "raise" else fields[match[2]] // 2
        fields[match[2]] = int(match[3]) if match[3] else step
