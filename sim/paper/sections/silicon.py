"""Area and power, from what `spatten-hw bench silicon --json` has measured, if that file is given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spatten_hw.errors import UserError
from spatten_hw.user_text import decode, read_bytes

from ..numbers import numbers, reason
from ..section import MISSING, Row, Section
from ..study import Study

ABOUT = """\
Area and power of preset `full` at the paper's node (40 nm), from the report given with `--silicon`; docs/silicon.md
says how they come to be and how far the scaling can be trusted."""
#: Key of a number → where it is in the report's `paper` table.
KEYS = tuple(key for key in numbers() if key.startswith("silicon."))


def read(path: Path) -> dict[str, Any]:
    """The report's table `paper`: {"silicon.area": mm² …}. `UserError` if the file has none."""
    try:
        report = json.loads(decode(read_bytes(path)))
        values = report["paper"]
        found = {key: float(values[key]) for key in KEYS if values.get(key) is not None}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"--silicon {path}: is no report of spatten-hw bench silicon --json (no table "
                        f"'paper')") from error
    return found


def run(study: Study) -> Section:
    """The section."""
    section = Section("silicon", "Area and power", ABOUT)
    found = {} if study.silicon is None else read(study.silicon)
    section.rows = [Row(key, found[key], reason("silicon.all")) if key in found
                    else Row(key, None, reason("silicon.missing"), MISSING) for key in KEYS]
    section.data = dict(found)
    return section
