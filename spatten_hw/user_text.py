"""Text files that users write: UTF-8, with or without the byte-order mark that some editors put in front."""

from __future__ import annotations

import codecs
import tomllib
from pathlib import Path

from .errors import UserError

#: Marks of encodings that are not UTF-8. UTF-32 comes first, since one of its marks begins with one of UTF-16.
_OTHER_MARKS = (("UTF-32", codecs.BOM_UTF32_LE), ("UTF-32", codecs.BOM_UTF32_BE),
                ("UTF-16", codecs.BOM_UTF16_LE), ("UTF-16", codecs.BOM_UTF16_BE))


#: Most bytes of a text: no user writes more, but a device may never end.
MOST_BYTES = 1 << 28


def read_bytes(path: Path) -> bytes:
    """The bytes of a user's text file, pipe or device. Raises `OSError`, and `ValueError` where it does not end."""
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"has more than {MOST_BYTES >> 20} MiB; is it a text?")
    return data


def decode(data: bytes) -> str:
    """The text of UTF-8 bytes, without a byte-order mark and with "\\n" at line ends.

    Raises `ValueError` with the reason in one line if they are something else.
    """
    for name, mark in _OTHER_MARKS:
        if data.startswith(mark):
            raise ValueError(f"is {name} text; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse_toml(data: bytes) -> dict[str, object]:
    """The table of a TOML file's bytes. Raises `ValueError` with the reason in one line."""
    text = decode(data)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"is not valid TOML ({error})") from None
    except RecursionError:
        raise ValueError("is not valid TOML: its arrays or tables are nested too deeply") from None


def read_text(path: Path) -> str:
    """The text of a user's file. Raises `UserError`."""
    try:
        return decode(read_bytes(path))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


def read_toml(path: Path) -> dict[str, object]:
    """The table of a user's TOML file. Raises `UserError`."""
    try:
        return parse_toml(read_bytes(path))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
