"""Request files: CSV in the columns that the SpAtten authors publish their workloads in, one request per row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from spatten_hw.config import LSB_WIDTH, PLANE_WIDTHS, SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.user_text import decode, read_bytes

COLUMNS = ("iteration_id", "layer_id", "head_id", "embedding_length_D", "sentence_length_L", "key_fetch_num",
           "quant_key_bit", "quant_query_bit", "auto_requant_thres", "if_requant", "auto_requant_incre",
           "value_fetch_num", "quant_value_bit")
#: A width that is not quantised.
FULL = -1


@dataclass(frozen=True)
class Shape:
    """What requests must have in common to share a job. Widths are (MSB, LSB) planes; `threshold` in 2^−12."""

    dim: int
    tokens: int
    keys: int
    values: int
    q_bits: int
    k_bits: tuple[int, int]
    v_bits: tuple[int, int]
    threshold: int


@dataclass(frozen=True)
class Request:
    """One query of one head. `flat`: its probabilities from MSBs alone must be below the threshold. `place`:
    (iteration, layer, head) of the file."""

    line: int
    shape: Shape
    flat: bool
    place: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True)
class RequestFile:
    """The requests of a file, `name` its stem, as a build can run them; `q_asked`: widest Q that the file asks for
    (Q is cut to what the build has, K and V never)."""

    source: str
    name: str
    requests: tuple[Request, ...]
    q_asked: int

    @classmethod
    def read(cls, path: Path, config: SpAttenConfig, limit: int | None = None) -> RequestFile:
        """The first `limit` requests. Rows of which all but the first field are empty, and that field no number,
        are comments. Raises a `UserError` that names file and line."""
        requests, widest = [], 0
        for line, row in _rows(path):
            reader = _Reader(f"{path}, line {line}", row, config)
            requests.append(Request(line, reader.shape(), reader.flat(), reader.place))
            widest = max(widest, reader.q_asked)
            if limit is not None and len(requests) == limit:
                break
        if not requests:
            raise UserError(f"{path}: holds no requests; give a CSV with a row per request")
        return cls(str(path), path.stem, tuple(requests), widest)

    def first(self, limit: int | None) -> RequestFile:
        """The file with its first `limit` requests alone."""
        return replace(self, requests=self.requests[:limit])


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, fields by column) of every row that is not a comment."""
    try:
        with io.StringIO(decode(read_bytes(path)), newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            missing = [name for name in COLUMNS if name not in header]
            if missing:
                raise UserError(f"{path}: has no column {', '.join(missing)}; give a CSV with the columns "
                                f"{', '.join(COLUMNS)}")
            for fields in reader:
                cells = [cell.strip() for cell in fields]
                if not any(cells[1:]) and not (cells and cells[0].lstrip("+-").isdigit()):
                    continue
                if len(cells) != len(header):
                    raise UserError(f"{path}, line {reader.line_num}: has {len(cells)} fields, the header "
                                    f"{len(header)}; give every column a value")
                yield reader.line_num, dict(zip(header, cells, strict=True))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give a CSV of requests") from None
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path}: is not a CSV file ({error}); give a CSV of requests") from None


class _Reader:
    """Checks the fields of one row; every complaint says where, what and what to do."""

    def __init__(self, where: str, row: Mapping[str, str], config: SpAttenConfig):
        self.where, self.row, self.config = where, row, config
        self.q_asked = 0
        iteration, layer, head = (self._count(name, 0, "must not be negative")
                                  for name in ("iteration_id", "layer_id", "head_id"))
        self.place = iteration, layer, head

    def bad(self, name: str, rule: str, remedy: str) -> UserError:
        return UserError(f"{self.where}: {name} is {self.row[name]!r}: {rule}; {remedy}")

    def _number(self, name: str) -> float:
        try:
            value = float(self.row[name])
        except ValueError:
            raise self.bad(name, "must be a number", "correct it") from None
        if not abs(value) < 1e9:
            raise self.bad(name, "is out of range", "correct it")
        return value

    def _count(self, name: str, least: int, rule: str) -> int:
        value = self._number(name)
        if value != int(value):
            raise self.bad(name, "must be a whole number", "correct it")
        if value < least:
            raise self.bad(name, rule, "correct it")
        return int(value)

    def _width(self, name: str) -> int:
        """A plane width, or FULL."""
        bits = self._count(name, FULL, f"must be a width or {FULL} for not quantised")
        if bits != FULL and bits not in PLANE_WIDTHS:
            raise self.bad(name, f"must be one of {', '.join(map(str, PLANE_WIDTHS))} or {FULL}", "use such a width")
        return bits

    def _planes(self, name: str) -> tuple[int, int]:
        """(MSB, LSB) widths of K or V."""
        c, bits = self.config, self._width(name)
        if bits == FULL:
            return c.operand_bits, 0
        more = self._count("auto_requant_incre", FULL, f"must be {LSB_WIDTH}, or 0 or {FULL} for none")
        if more not in (FULL, 0, LSB_WIDTH):
            raise self.bad("auto_requant_incre", f"must be {LSB_WIDTH}, or 0 or {FULL} for none",
                           f"use {LSB_WIDTH}")
        planes = bits, max(0, more)
        if sum(planes) > c.operand_bits:
            raise self.bad(name, f"{planes[0]} + {planes[1]} bits are more than operand_bits = {c.operand_bits} of "
                                 f"'{c.name}'", "choose another preset")
        return planes

    def shape(self) -> Shape:
        """Sizes and widths, checked against the build."""
        c = self.config
        dim = self._count("embedding_length_D", 1, "must be at least 1")
        if dim not in c.dims:
            raise self.bad("embedding_length_D", f"'{c.name}' takes {', '.join(map(str, c.dims))}",
                           "choose another preset")
        tokens = self._count("sentence_length_L", 1, "must be at least 1")
        if tokens > c.max_tokens:
            raise self.bad("sentence_length_L", f"'{c.name}' takes at most max_tokens = {c.max_tokens}",
                           "choose another preset")
        keys = self._count("key_fetch_num", 1, "must be at least 1")
        if keys > tokens:
            raise self.bad("key_fetch_num", f"there are {tokens} tokens (sentence_length_L)", "keep at most that many")
        values = self._count("value_fetch_num", 1, "must be at least 1")
        if values > keys:
            raise self.bad("value_fetch_num", f"there are {keys} keys (key_fetch_num)", "keep at most that many")
        asked = self._width("quant_query_bit")
        self.q_asked = max(0, asked)
        k_bits = self._planes("quant_key_bit")
        threshold = 0
        if k_bits[1]:
            part = self._number("auto_requant_thres")
            if not 0 <= part <= 1 and part != FULL:
                raise self.bad("auto_requant_thres", f"must be 0 … 1, or {FULL} for none", "correct it")
            threshold = max(0, round(part * 4096))
        q_bits = c.operand_bits if asked == FULL else min(asked, c.operand_bits)
        return Shape(dim, tokens, keys, values, q_bits, k_bits, self._planes("quant_value_bit"), threshold)

    def flat(self) -> bool:
        """Whether the request must fetch LSBs."""
        text = self.row["if_requant"].lower()
        if text not in ("true", "false", "1", "0"):
            raise self.bad("if_requant", "must be True or False", "correct it")
        flat = text in ("true", "1")
        if flat and self.row["quant_key_bit"] == str(FULL):
            raise self.bad("if_requant", "keys that are not quantised have no LSBs to fetch", "write False")
        return flat
