"""How every command chooses a configuration: `--preset`, then `--config FILE.toml`, then `--set field=value`.

Later ones win. Each mistake is a `UserError` of one line; a configuration that breaks rules is the
`ConfigError` of `SpAttenConfig`, which lists all of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
from pathlib import Path

from spatten_hw.config import SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.presets import PRESETS
from spatten_hw.user_text import read_toml

#: Preset that applies where neither --preset nor the TOML file names one, and the command has no other default.
DEFAULT_PRESET = "small"


def add_config_arguments(parser: argparse.ArgumentParser, default: str = DEFAULT_PRESET) -> None:
    """Adds --preset (`default` where nothing names one), --config and --set; `config_from_args` reads them."""
    group = parser.add_argument_group("configuration")
    group.add_argument("--preset", metavar="NAME",
                       help=f"start from this preset: {', '.join(PRESETS)} (default {default})")
    parser.set_defaults(default_preset=default)
    group.add_argument("--config", metavar="FILE.toml", type=Path,
                       help="TOML file of fields on top of the preset, e.g. `max_tokens = 256`; "
                            "`preset = \"eighth\"` in it names the preset")
    group.add_argument("--set", metavar="FIELD=VALUE", action="append", default=[], dest="settings",
                       help="one field on top of both; repeatable, e.g. --set channels=2; parameters of an engine "
                            "follow its name: --set topk=linerate,digit_bits=3")


def config_from_args(args: argparse.Namespace) -> SpAttenConfig:
    """The configuration that the arguments describe. Raises `UserError` or `ConfigError`."""
    changes: dict[str, object] = {}
    preset = args.preset
    if args.config is not None:
        changes = _read_toml(args.config)
        in_file = changes.pop("preset", None)
        if preset is None and in_file is not None:
            if not isinstance(in_file, str):
                raise UserError(f"{args.config}: preset must be a string, is {in_file!r}")
            preset = in_file
    preset = args.default_preset if preset is None else preset
    if preset not in PRESETS:
        raise UserError(f"unknown preset '{preset}'{_near(preset, PRESETS)}; presets: {', '.join(PRESETS)}")
    for setting in args.settings:
        name, equals, text = setting.partition("=")
        name = name.strip()
        if not equals:
            raise UserError(f"--set {setting}: expected FIELD=VALUE")
        _check_field(name, "--set")
        changes[name] = _value(name, text.strip())
    if changes and "name" not in changes:
        changes["name"] = "custom"
    return PRESETS[preset].replace(**changes) if changes else PRESETS[preset]


def _read_toml(path: Path) -> dict[str, object]:
    table = read_toml(path)
    for name, value in table.items():
        if name != "preset":
            _check_field(name, str(path))
            kind, article = (str, "a string") if _types()[name] == "str" else (int, "a whole number")
            if isinstance(value, bool) or not isinstance(value, kind):
                raise UserError(f"{path}: {name} must be {article}, is {value!r}")
    return table


def _types() -> dict[str, str]:
    return {f.name: str(f.type).partition(" ")[0] for f in dataclasses.fields(SpAttenConfig)}


def _check_field(name: str, where: str) -> None:
    fields = _types()
    if name not in fields:
        raise UserError(f"{where}: unknown field '{name}'{_near(name, fields)}; fields: {', '.join(fields)}")


def _value(name: str, text: str) -> object:
    if _types()[name] == "str":
        return text
    try:
        return int(text, 0)
    except ValueError:
        raise UserError(f"--set {name}={text}: {name} must be a whole number") from None


def _near(name: str, known) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f" (did you mean '{close[0]}'?)" if close else ""
