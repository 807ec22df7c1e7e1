"""The command line: verbs only, no logic. Nothing heavy is imported before a verb runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from limbeck.errors import LimbeckError

__all__ = ["main"]

RESUMED = {
    "distill": " The run goes on with the same command and --resume.",
    "study": " The same command and --resume goes on with it.",
    "bank": " The bank goes on with the same command.",
    "embed": " The same command goes on with the store.",
    "recipes": " What is finished is kept; the same command goes on.",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 done, 2 the user's input, 1 anything else, 130 interrupted.
    """
    from limbeck.cli.parser import parse
    from limbeck.cli.verbs import VERBS
    from limbeck.engine.launch import refuse_many, speaks

    verb = ""
    try:
        verb, options = parse(list(sys.argv[1:] if arguments is None else arguments))
        refuse_many(verb)
        VERBS[verb](options)
    except LimbeckError as error:
        if speaks(error):
            print(f"limbeck: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as error:
        if speaks(error):
            print(f"limbeck: interrupted.{RESUMED.get(verb, '')}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in `limbeck methods | head`
        sys.stderr.close()
        return 1
    except OSError as error:
        if not speaks(error):
            return 1
        print(f"limbeck: {error.filename or 'input or output'}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0
