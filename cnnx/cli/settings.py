"""The options of a training run: given, stored in run.json and config.toml, and read from there."""

# Design:
# Stored options are parsed by the command's own parser, as if they were typed, so that a file and
# the command line accept the same and complain in the same words. What is given on the command line
# has precedence over a config file; a run that is resumed accepts nothing else than its own.

from __future__ import annotations

import argparse
import copy
import json
import os
from typing import Any, NoReturn

from cnnx import config
from cnnx.cli import data
from cnnx.cli.recipes import SCHEDULES
from cnnx.cli.runs import SETTINGS, read_json

__all__ = ["complete", "stored", "to_toml"]

# What is used if neither the command line nor a file says otherwise; None: see recipes.py, or off.
_DEFAULTS: dict[str, Any] = {
    "data": "digits",
    "model": None,
    "epochs": None,
    "batch_size": None,
    "optimizer": "adam",
    "lr": None,
    "schedule": "tenth",
    "augment": "none",
    "ema": None,
    "early_stop": None,
    "val_split": None,
    "class_weights": False,
    "drop_last": False,
    "seed": 0,
    "dtype": "float32",
    "resize": None,
    "layout": None,
    "background": None,
    "invert": False,
    "workers": 0,
    "cache_mb": None,
    "backend": None,
    "distributed": False,
    "reduction": None,
    "shards": None,
    "sync_batch_norm": False,
    "timeout": None,
}
# May differ from those of the run that is resumed.
_FREE = ("epochs", "workers", "cache_mb", "timeout")


def complete(args: argparse.Namespace) -> None:
    """Give each option that was not given its value from a file, or its default."""
    known: dict[str, Any] = dict(_DEFAULTS)
    if args.resume is not None:
        known.update(_of_run(args))
    elif args.config is not None:
        known.update(_read_toml(args))
    for name, value in known.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    if args.backend is None:
        args.backend = config.get_backend()


def stored(args: argparse.Namespace) -> dict[str, Any]:
    """The options of a run as `complete` reads them: numbers, strings and True, by flag."""
    values = {}
    for name in _DEFAULTS:
        value = getattr(args, name)
        if name == "data":
            value = data.absolute(value)
        if name == "resize" and value is not None:
            value = f"{value[0]}x{value[1]}"
        if value is not None and value is not False:
            values[name.replace("_", "-")] = value
    return values


def to_toml(options: dict[str, Any]) -> str:
    """The text of a config file. JSON writes strings, numbers and booleans as TOML does."""
    lines = [f"{name} = {_toml(value)}" for name, value in options.items()]
    return "\n".join(["# cnnx train config.toml", *lines, ""])


def _toml(value: Any) -> str:
    # Of the characters that JSON leaves as they are, TOML forbids DEL only.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _of_run(args: argparse.Namespace) -> dict[str, Any]:
    """The options of the run to resume; a usage error for other ones."""
    place = args.resume
    for flag, value in (("--out", args.out), ("a config file", args.config)):
        if value is not None:
            args.parser.error(f"{flag} is for a new run, but --resume continues {place}")
    path = os.path.join(place, SETTINGS)
    try:
        settings = read_json(path)
    except FileNotFoundError:
        args.parser.error(f"argument --resume: {place} is not the directory of a run")
    options = settings.get("options") if isinstance(settings, dict) else None
    if not isinstance(options, dict):
        raise ValueError(f"{path}: it does not say how to continue: start a new run")
    known = {**_DEFAULTS, **_parsed(args.parser, options, path)}
    for name, value in known.items():
        given = getattr(args, name)
        if name == "data" and given is not None:
            given = data.absolute(given)
        if given is not None and given != value and name not in _FREE:
            flag = f"--{name.replace('_', '-')}"
            args.parser.error(
                f"{flag} is {_shown(given)}, but {place} was started with {_shown(value)}"
            )
    _check_epochs(args, known)
    return known


def _check_epochs(args: argparse.Namespace, known: dict[str, Any]) -> None:
    """More epochs must be what a longer run would have done."""
    if args.epochs is None or args.epochs == known["epochs"]:
        return
    if args.epochs < known["epochs"]:
        args.parser.error(
            f"--epochs is {args.epochs}, but {args.resume} was started with {known['epochs']}, "
            "which can only be raised"
        )
    if SCHEDULES[known["schedule"]].planned:
        args.parser.error(
            f"--epochs is {args.epochs}, but {args.resume} was started with {known['epochs']}, "
            f"for which its --schedule {known['schedule']} is planned"
        )


def _shown(value: Any) -> str:
    if value is None or value is False:
        return "none"
    return f"{value[0]}x{value[1]}" if isinstance(value, tuple) else str(value)


def _read_toml(args: argparse.Namespace) -> dict[str, Any]:
    """The options in a config file."""
    try:
        import tomllib as toml
    except ImportError:  # Python 3.10
        try:
            # mypy knows the library of one version of Python only.
            import tomli as toml  # type: ignore[import-not-found,no-redef,unused-ignore]
        except ImportError:
            raise ImportError(
                f"{args.config}: config files need Python 3.11, or: pip install tomli"
            ) from None
    with open(args.config, "rb") as file:
        try:
            options = toml.load(file)
        except (toml.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{args.config} is no TOML: {error}") from error
    return _parsed(args.parser, options, args.config)


def _parsed(parser: argparse.ArgumentParser, options: dict[str, Any], path: str) -> dict[str, Any]:
    """Options from a file, parsed as those of the command line; errors name the file."""
    words = []
    for name, value in options.items():
        key = name.replace("-", "_")
        if "_" in name or key not in _DEFAULTS:
            names = ", ".join(known.replace("_", "-") for known in _DEFAULTS)
            parser.error(f"{path}: there is no option {name!r}: expected {names}")
        if isinstance(_DEFAULTS[key], bool):
            if not isinstance(value, bool):
                parser.error(f"{path}: {name} is {value!r}, expected true or false")
            words += [f"--{name}"] if value else []
        elif isinstance(value, bool) or not isinstance(value, (str, int, float)):
            parser.error(f"{path}: {name} is {value!r}, expected a number or text")
        else:
            words.append(f"--{name}={value}")

    def fail(message: str) -> NoReturn:
        parser.error(f"{path}: {message}")

    reader = copy.copy(parser)
    setattr(reader, "error", fail)  # noqa: B010 - a method of this object only
    found = vars(reader.parse_args(words))
    return {name: found[name] for name in _DEFAULTS if found[name] is not None}
