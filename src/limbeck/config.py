"""Strict settings: built from plain mappings, with an error that names the nearest known key, and a hash."""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from limbeck.errors import ConfigError, nearest
from limbeck.files import digest_of

__all__ = ["build", "read_settings", "seeds", "settings_hash"]

Settings = TypeVar("Settings")


def build(cls: type[Settings], values: Mapping[str, Any], *, where: str = "") -> Settings:
    """A settings dataclass from a mapping.

    Args:
        cls: the dataclass.
        values: by field name; fields left out keep their defaults.
        where: prefix for messages, such as ``method.``.

    Raises:
        ConfigError: on an unknown key, naming the nearest known one, or a value of the wrong type.
    """
    fields = {f.name for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    hints = get_type_hints(cls)
    for name, value in values.items():
        if name not in fields:
            hint = nearest(name, fields) if fields else f"{cls.__name__} has no settings."
            raise ConfigError(f"unknown setting {where}{name}", hint=hint)
        if not _fits(value, hints[name]):
            shown = repr(", ".join(map(str, value))) if isinstance(value, (list, tuple)) else repr(value)
            raise ConfigError(f"{where}{name} is {shown}", hint=f"It takes {_describe(hints[name])}.")
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def read_settings(path: Path, known: Iterable[str]) -> dict[str, Any]:
    """Settings by name from a JSON or YAML file.

    Raises ConfigError where it holds none, or one that is not among ``known``, naming the nearest.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        try:  # JSON first: YAML takes 1e-05 for a word
            found = json.loads(text)
        except ValueError:
            found = yaml.safe_load(text)
    except FileNotFoundError:
        raise ConfigError("there is no such file", where=path) from None
    except (OSError, UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"not readable as JSON or YAML ({error})", where=path) from error
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise ConfigError("holds no settings by name", where=path)
    names = set(known)
    for name in found:
        if name not in names:
            raise ConfigError(f"unknown setting {name}", where=path, hint=nearest(name, names))
    return found


def settings_hash(*parts: Any) -> str:
    """Sixteen hexadecimal digits that stand for JSON-ready settings."""
    return digest_of(parts)[:16]


def seeds(text: str) -> list[int]:
    """``3``, ``0,2,5`` or ``0:5`` (0 to 4). Raises ConfigError on anything else."""
    try:
        found: list[int] = []
        for part in text.split(","):
            first, colon, last = part.partition(":")
            found.extend(range(int(first), int(last)) if colon else [int(first)])
        if not found or min(found) < 0 or len(set(found)) != len(found):
            raise ValueError
        return found
    except ValueError:
        raise ConfigError(f"seeds are {text!r}", hint="Write 3, or 0,2,5, or 0:5 for 0 to 4.") from None


def _fits(value: Any, kind: Any) -> bool:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if origin is Literal:
        return value in arguments
    if origin in (Union, types.UnionType):
        return any(_fits(value, a) for a in arguments)
    if origin is tuple:
        return isinstance(value, (list, tuple)) and all(_fits(v, arguments[0]) for v in value)
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


def _describe(kind: Any) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return "one of " + ", ".join(map(repr, arguments))
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(a) for a in arguments if a is not type(None))
    if origin is tuple:
        return {int: "whole numbers", float: "numbers", str: "words"}[arguments[0]] + " joined by commas"
    return {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}.get(
        kind, getattr(kind, "__name__", str(kind))
    )
