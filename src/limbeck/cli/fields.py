"""Settings as options: one option a field, read back as the field's kind."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import textwrap
import types
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from jsonargparse import ArgumentParser

from limbeck.config import seeds

if TYPE_CHECKING:
    from jsonargparse import Namespace

__all__ = ["add_settings", "given", "new_parser", "seeds"]


def new_parser(text: str, name: str, words: str = "") -> ArgumentParser:
    """A parser that raises instead of leaving.

    Args:
        words: what stands between name and options in its usage.
    """
    # strict: an abbreviated option is an unknown one
    return ArgumentParser(
        prog=name,
        usage=" ".join(filter(None, (name, words, "[options]"))),
        description=text.partition("Args:")[0].replace("``", "`"),
        exit_on_error=False,
        allow_abbrev=False,
        formatter_class=argparse.HelpFormatter,
    )


def add_settings(
    parser: ArgumentParser, settings: type[Any], prefix: str = "", shown: Mapping[str, Any] | None = None
) -> None:
    """One option a field. Nothing has a default here: what is left out fits method and data.

    Args:
        shown: what the help gives as default instead of the field's own.
    """
    hints, texts = get_type_hints(settings), dict(_documented(settings))
    for field in dataclasses.fields(settings):
        default = (shown or {}).get(field.name, field.default)
        about = texts.get(field.name, "").replace("``", "`")
        ending = "" if default in (None, (), dataclasses.MISSING) else f" [{_shown(default)}]"
        kind = hints[field.name]
        parser.add_argument(
            f"--{prefix}{field.name.replace('_', '-')}",
            type=_typed(kind),
            help=(about + ending).replace("%", "%%"),
            **_shape(kind),
        )


def given(options: Namespace, settings: type[Any]) -> dict[str, Any]:
    """The fields of ``settings`` that were typed."""
    values = {f.name: options.get(f.name) for f in dataclasses.fields(settings)}
    hints = get_type_hints(settings)
    return {
        name: _words(value, hints[name]) if _is_tuple(hints[name]) else value
        for name, value in values.items()
        if value is not None
    }


def _shown(default: Any) -> str:
    """A default as it is typed."""
    if isinstance(default, bool):
        return str(default).lower()
    return "none" if default == "" else str(default)


def _typed(kind: Any) -> Any:
    """What a command line can hold: None is leaving the option out, a tuple is words joined by commas."""
    if get_origin(kind) in (Union, types.UnionType):
        kinds = [k for k in get_args(kind) if k is not type(None)]
        return _typed(kinds[0]) if len(kinds) == 1 else kind
    return str if get_origin(kind) is tuple else kind


def _shape(kind: Any) -> dict[str, Any]:
    """What stands for a value in the help; choices say it themselves."""
    word = "A,B" if _is_tuple(kind) else {int: "N", float: "X", str: "WORD"}.get(_typed(kind))
    return {} if word is None else {"metavar": word}


def _documented(settings: type[Any]) -> Iterator[tuple[str, str]]:
    """(field, text) from the Args of the docstring."""
    _, _, text = (inspect.getdoc(settings) or "").partition("Args:\n")
    for entry in re.split(r"\n(?=\S)", textwrap.dedent(text)):
        names, colon, about = entry.partition(":")
        if colon:
            for name in names.split(","):
                yield name.strip(), " ".join(about.split())


def _words(text: str, kind: Any) -> tuple[Any, ...]:
    """The words between commas, as numbers where the tuple holds numbers and all of them are."""
    kinds = [k for k in (kind, *get_args(kind)) if get_origin(k) is tuple]
    element = get_args(kinds[0])[0]
    words = text.split(",")
    try:
        return tuple(element(word) for word in words) if element in (int, float) else tuple(words)
    except ValueError:
        return tuple(words)  # what it should have been is said where settings are built


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple or any(get_origin(k) is tuple for k in get_args(kind))
