"""What was mistyped, as a sentence with a way out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from limbeck.errors import ConfigError, nearest

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

__all__ = ["explained"]

KINDS = {"int": "a whole number", "float": "a finite number", "bool": "true or false", "str": "a text"}


def explained(text: str, parser: ArgumentParser, arguments: Sequence[str]) -> ConfigError:
    """The parser's complaint ``text`` about ``arguments``."""
    path, known, choices = _led_to(parser, arguments)
    program = " ".join(["limbeck", *path])
    more = f"`{program} --help` says what it takes."
    if found := re.search(r"[Uu]nrecognized arguments: (.*)", text):
        word = found[1].split()[0].partition("=")[0]
        return _unknown(word, known, path, more)
    if found := re.search(r"invalid choice: '([^']*)'", text):
        return ConfigError(f"unknown {'method' if path else 'verb'} {found[1]!r}", hint=nearest(found[1], choices))
    if re.search(r"expected \".*\" to be one of", text):
        return ConfigError(f"no {'method' if path else 'verb'} given", hint=f"Known: {', '.join(choices)}.")
    if found := re.search(r"arguments are required: (.*)", text):
        names = ["--" + n.rpartition(".")[2].replace("_", "-") for n in found[1].split(", ")]
        names = [n if n in known else n[2:] for n in names]
        return ConfigError(f"no {names[0]} given", hint=more)
    if found := re.search(r"argument (--[\w.-]+).*: expected one argument", text):
        return ConfigError(f"{found[1]} has no value", hint=more)
    if found := re.search(r"Parser key \"(?:.*?\.)??([\w.]+)\":\s*(.*)", text, re.DOTALL):
        return _wrong_value(f"--{found[1].replace('_', '-')}", " ".join(found[2].split()))
    return ConfigError(" ".join(text.split()))


def _unknown(word: str, known: Iterable[str], path: Sequence[str], more: str) -> ConfigError:
    """An option that there is not; the nearest one where one is near, dashes apart."""
    names = {name.lstrip("-"): name for name in known if name.startswith("--")}
    what = f"unknown option {word}"
    if word.startswith("--method") and not any(name.startswith("method.") for name in names):
        return ConfigError(what, hint=f"{path[-1]} has no settings of its own." if len(path) > 1 else more)
    hint = nearest(word.lstrip("-"), names, cutoff=0.6)
    for bare, name in names.items():
        hint = hint.replace(repr(bare), repr(name))
    return ConfigError(what, hint=hint if hint.startswith("Did") else more)


def _wrong_value(option: str, complaint: str) -> ConfigError:
    """``Expected a int. Got value: x`` with the value beside its option, and the kind in words."""
    found = re.search(r"Expected a (.*?)\. Got value: (.*)", complaint)
    if found is None:
        return ConfigError(option, hint=complaint)
    kind, value = re.sub(r"typing\.|<class '(\w+)'>", r"\1", found[1]), found[2]
    if kind.startswith("Literal["):
        choices = re.findall(r"'([^']*)'", kind)
        close = nearest(value, choices)
        takes = f"It takes {', '.join(choices)}." if close.startswith("Known") else close
    else:
        takes = f"It takes {KINDS.get(kind, kind)}."
    return ConfigError(f"{option} is {value!r}", hint=takes)


def _led_to(parser: ArgumentParser, arguments: Sequence[str]) -> tuple[list[str], set[str], list[str]]:
    """Verb and method that were typed, the options that are known there, and the words that could have come next."""
    current: Any = parser
    path: list[str] = []
    choices: list[str] = []
    for word in [*(a for a in arguments if not a.startswith("-")), ""]:
        sub: Any = next((a for a in current._actions if getattr(a, "_name_parser_map", None)), None)
        choices = [] if sub is None else list(sub._name_parser_map)
        if word not in choices:
            break
        current = sub._name_parser_map[word]
        path.append(word)
    return path, {option for action in current._actions for option in action.option_strings}, choices
