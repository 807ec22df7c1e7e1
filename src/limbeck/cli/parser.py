"""The command line as a whole: which verb was typed, and its options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jsonargparse import ArgumentError

from limbeck import __version__
from limbeck.cli.fields import new_parser
from limbeck.cli.mistakes import explained
from limbeck.cli.options import OPTIONS

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

__all__ = ["build_parser", "parse"]


def parse(arguments: list[str]) -> tuple[str, Namespace]:
    """The verb and its options. Raises ConfigError, naming the nearest option, where something is not understood."""
    parser = build_parser(arguments)
    if not arguments:
        arguments = ["--help"]
    try:
        options = parser.parse_args(arguments)
    except ArgumentError as error:
        raise explained(str(error), parser, arguments) from None
    return options.verb, options[options.verb]


def build_parser(arguments: Sequence[str] = ()) -> ArgumentParser:
    """The whole command line. Only the verb that was typed gets its options: the others would be built for nothing."""
    parser = new_parser(
        "Large sets of paired media into tiny synthetic sets on which models train nearly as well.", "limbeck", "VERB"
    )
    parser.add_argument("--version", action="version", version=f"limbeck {__version__}")
    verbs = parser.add_subcommands(required=True, dest="verb", metavar="VERB")
    typed = next((a for a in arguments if not a.startswith("-")), None)
    for name, (text, words, fill) in OPTIONS.items():
        sub = new_parser(text, f"limbeck {name}", words)
        verbs.add_subcommand(name, sub, help=text)
        if name == typed:
            fill(sub)
    return parser
