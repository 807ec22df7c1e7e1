"""What can be typed: every verb's options, built from the settings they become."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import textwrap
import types
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from jsonargparse import ArgumentError, ArgumentParser

from limbeck import __version__
from limbeck.errors import ConfigError, nearest

if TYPE_CHECKING:
    from jsonargparse import Namespace

__all__ = ["build_parser", "parse"]


def parse(arguments: list[str]) -> tuple[str, Namespace]:
    """The verb and its options. Raises ConfigError, naming the nearest option, where something is not understood."""
    parser = build_parser(arguments)
    if not arguments:
        arguments = ["--help"]
    try:
        options = parser.parse_args(arguments)
    except ArgumentError as error:
        raise _explained(str(error), parser, arguments) from None
    return options.verb, options[options.verb]


def build_parser(arguments: Sequence[str] = ()) -> ArgumentParser:
    """The whole command line. Only the verb that was typed gets its options: the others would be built for nothing."""
    parser = _parser(
        "Large sets of paired media into tiny synthetic sets on which models train nearly as well.", "limbeck"
    )
    parser.add_argument("--version", action="version", version=f"limbeck {__version__}")
    verbs = parser.add_subcommands(required=True, dest="verb", metavar="VERB")
    typed = next((a for a in arguments if not a.startswith("-")), None)
    for name, (text, fill) in OPTIONS.items():
        sub = _parser(text, f"limbeck {name}")
        verbs.add_subcommand(name, sub, help=text)
        if name == typed:
            fill(sub)
    return parser


def _distill(parser: ArgumentParser) -> None:
    _by_method(parser, estimate=False)


def _estimate(parser: ArgumentParser) -> None:
    _by_method(parser, estimate=True)


def _by_method(parser: ArgumentParser, *, estimate: bool) -> None:
    from limbeck.engine.settings import RunSettings
    from limbeck.methods import methods

    chosen = parser.add_subcommands(required=True, dest="method_name", metavar="METHOD")
    for name, method in methods().items():
        sub = _parser(inspect.getdoc(method) or "", f"limbeck {'estimate' if estimate else 'distill'} {name}")
        chosen.add_subcommand(name, sub, help=method.title)
        sub.add_argument("--config", type=str, help="settings in YAML or JSON, such as a run's config.json")
        sub.add_argument("--data", type=str, help="digits, toy, or the folder of a prepared store")
        if not estimate:
            sub.add_argument("--out", type=str, help="the run folder")
            sub.add_argument("--resume", action="store_true", help="go on with the run in --out")
        else:
            _json(sub)
        _add_settings(sub, RunSettings)
        _add_settings(sub, method, prefix="method.")


def _evaluate(parser: ArgumentParser) -> None:
    parser.add_argument(
        "target", type=str, help="a run, an artifact, or a data set, whose whole training split is scored"
    )
    parser.add_argument("--protocol", type=str, default="recognition-avdd", help="`limbeck protocols` lists them")
    parser.add_argument(
        "--students", type=str, default="convnet", help="convnet, lenet, alexnet, vgg11, resnet18, joined by commas"
    )
    parser.add_argument("--seeds", type=str, default="0:5", help="of the students: 3, or 0,2,5, or 0:5")
    parser.add_argument("--data", type=str, help="the real set, where it is not the one the run was made from")
    parser.add_argument("--whole", action="store_true", help="score the whole training split beside it")
    parser.add_argument("--whole-seeds", type=str, default="0:3", help="its students")
    parser.add_argument("--modalities", type=str, help="which students see, joined by commas (default: all)")
    parser.add_argument("--fusion", type=str, help="ensemble, sum, concat, attention (default: the protocol's)")
    parser.add_argument("--weights", type=str, help="a safetensors file that the students' encoders start from")
    parser.add_argument("--save-weights", type=str, help="a folder that keeps the trained students as such files")
    parser.add_argument("--channels", type=int, help="width of the students (default: the distilling encoder's)")
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda")
    parser.add_argument("--kernels", type=str, default="auto", help="auto, literal, fused")
    parser.add_argument("--precision", type=str, default="fp32", help="fp32, bf16")
    parser.add_argument("--threads", type=int, help="of the CPU (default: its cores)")
    parser.add_argument("--split", type=str, default="test", help="whose items students are scored on")
    parser.add_argument("--at-once", type=int, help="students trained in one pass (default: 1 on a CPU, all on a GPU)")
    _json(parser)


def _prepare(parser: ArgumentParser) -> None:
    from limbeck.data import PrepareSettings

    parser.add_argument("reader", type=str, help="`limbeck datasets` lists them")
    parser.add_argument("--root", type=str, required=True, help="the raw data: a folder, or a manifest file")
    parser.add_argument("--out", type=str, required=True, help="the store's folder")
    parser.add_argument("--on-error", type=str, default="error", help="error stops at a bad file, skip leaves it out")
    parser.add_argument("--workers", type=int, help="processes (default: one a core)")
    _add_settings(parser, PrepareSettings)
    _json(parser)


def _report(parser: ArgumentParser) -> None:
    parser.add_argument("run", type=str, help="the run folder")
    parser.add_argument("--out", type=str, help="the page (default: report.html in the run folder)")


def _export(parser: ArgumentParser) -> None:
    parser.add_argument("run", type=str, help="a run or an artifact")
    parser.add_argument("--to", type=str, default="folder", help="folder: PNG, WAV and labels.csv")
    parser.add_argument("--out", type=str, help="where to (default: export in the run folder)")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")


def _import(parser: ArgumentParser) -> None:
    parser.add_argument("source", type=str, help="avdd: distilled sets that AVDD's authors published")
    parser.add_argument("--root", type=str, required=True, help="folder of exp_*_imgSyn_*.pth or of class:*.pt files")
    parser.add_argument("--data", type=str, required=True, help="the store of the real set that they were made from")
    parser.add_argument("--out", type=str, required=True, help="the run folder to make")
    parser.add_argument("--experiment", type=int, default=0, help="which of the authors' experiments [0]")
    parser.add_argument("--step", type=int, default=5000, help="of that experiment [5000]")
    parser.add_argument("--factor", type=int, default=2, help="2: items hold four each; 1: they are whole [2]")


def _inspect(parser: ArgumentParser) -> None:
    parser.add_argument("target", type=str, help="a run, an artifact or a store")
    _json(parser)


def _bank(parser: ArgumentParser) -> None:
    parser.add_argument("--data", type=str, required=True, help="the real set: digits, toy, or a store's folder")
    parser.add_argument("--members", type=int, default=40, help="encoder pairs, each trained by itself [40]")
    parser.add_argument("--decouplers", type=int, default=4, help="of each pair; 0 for none [4]")
    parser.add_argument("--modalities", type=str, help="joined by commas (default: all)")
    parser.add_argument("--channels", type=int, help="width of the ConvNets (default: what fits the set)")
    parser.add_argument("--mapping", type=str, default="mlp", help="what a decoupler is: mlp, linear")
    parser.add_argument("--hidden", type=int, default=512, help="inner width of an mlp [512]")
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda")
    parser.add_argument("--kernels", type=str, default="auto", help="auto, literal, fused")
    parser.add_argument("--precision", type=str, default="fp32", help="fp32, bf16")
    parser.add_argument("--threads", type=int, help="of the CPU (default: its cores)")
    parser.add_argument(
        "--at-once", type=int, help="pairs trained in one pass (default: 1 on a CPU, what fits on a GPU)"
    )
    _json(parser)


def _recipes(parser: ArgumentParser) -> None:
    parser.add_argument(
        "words", type=str, nargs="*", help="nothing lists the tables, a table's name its cells; run TABLE runs them"
    )
    parser.add_argument("--cell", type=str, help="cells or the beginnings of some, joined by commas: ave/10,ave/whole")
    parser.add_argument("--data", type=str, help="the real set a table is run on: a set's name or a store's folder")
    parser.add_argument("--scale", type=str, default="paper", help="paper, or small: minutes, and not comparable")
    parser.add_argument("--out", type=str, help="folder of sets and results (default: runs/recipes/STORE-SCALE)")
    parser.add_argument("--seeds", type=str, help="of the sets of a cell: 3, or 0,2,5, or 0:5 (default: the paper's)")
    parser.add_argument("--weights", type=str, help="what students start from in the cells that ask for it")
    parser.add_argument("--device", type=str, help="auto, cpu, cuda")
    parser.add_argument("--kernels", type=str, help="auto, literal, fused")
    parser.add_argument("--precision", type=str, help="fp32, bf16")
    parser.add_argument("--threads", type=int, help="of the CPU (default: its cores)")
    _json(parser)


def _json(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")


OPTIONS = {
    "distill": ("distil a data set into a synthetic set", _distill),
    "evaluate": ("train students on a set and score them on real items", _evaluate),
    "bank": ("train the encoders and decouplers that DAVDD looks through, once for a set", _bank),
    "prepare": ("decode raw media into a store, once", _prepare),
    "import": ("a distilled set that somebody else published", _import),
    "report": ("one HTML page of a run: pictures, sounds, curves, scores", _report),
    "export": ("take a synthetic set away as plain files", _export),
    "inspect": ("what a run, an artifact or a store holds", _inspect),
    "estimate": ("what a run will cost, measured on a few of its steps", _estimate),
    "methods": ("the methods", _json),
    "datasets": ("the data sets and readers", _json),
    "protocols": ("how synthetic sets are scored", _json),
    "recipes": ("the papers' tables, cell by cell: what was published, and running it again", _recipes),
    "doctor": ("what this machine has, and what is missing for what", _json),
}


def _parser(text: str, name: str) -> ArgumentParser:
    # strict: an abbreviated option is an unknown one
    return ArgumentParser(
        prog=name,
        usage=f"{name} [options]",
        description=text.partition("Args:")[0],
        exit_on_error=False,
        allow_abbrev=False,
        formatter_class=argparse.HelpFormatter,
    )


def _add_settings(parser: ArgumentParser, settings: type[Any], prefix: str = "") -> None:
    """One option a field. Nothing has a default here: what is left out fits method and data."""
    hints, texts = get_type_hints(settings), dict(_documented(settings))
    for field in dataclasses.fields(settings):
        shown = "" if field.default in (None, dataclasses.MISSING) else f" [{field.default}]"
        parser.add_argument(
            f"--{prefix}{field.name.replace('_', '-')}",
            type=_typed(hints[field.name]),
            help=(texts.get(field.name, "") + shown).replace("%", "%%"),
        )


def _typed(kind: Any) -> Any:
    """What a command line can hold: None is leaving the option out, a tuple is words joined by commas."""
    if get_origin(kind) in (Union, types.UnionType):
        kinds = [k for k in get_args(kind) if k is not type(None)]
        return _typed(kinds[0]) if len(kinds) == 1 else kind
    if get_origin(kind) is tuple:
        return list[get_args(kind)[0]] | str  # type: ignore[misc]
    return kind


def _documented(settings: type[Any]) -> Iterator[tuple[str, str]]:
    """(field, text) from the Args of the docstring."""
    _, _, text = (inspect.getdoc(settings) or "").partition("Args:\n")
    for entry in re.split(r"\n(?=\S)", textwrap.dedent(text)):
        names, colon, about = entry.partition(":")
        if colon:
            for name in names.split(","):
                yield name.strip(), " ".join(about.split())


def _explained(text: str, parser: ArgumentParser, arguments: Sequence[str]) -> ConfigError:
    """The parser's complaint as a sentence with a way out."""
    known = _options_of(parser, arguments)
    if found := re.search(r"[Uu]nrecognized arguments: (.*)", text):
        word = found[1].split()[0].partition("=")[0]
        return ConfigError(f"unknown option {word}", hint=nearest(word, known))
    if found := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", text):
        what = "method" if arguments[0] in OPTIONS else "verb"
        return ConfigError(f"unknown {what} {found[1]!r}", hint=nearest(found[1], re.findall(r"[\w-]+", found[2])))
    if found := re.search(r"expected \"(?:.*\.)?(\w+)\" to be one of \{(.*?)\}", text):
        return ConfigError(f"no {found[1].replace('method_name', 'method')} given", hint=f"Choose one of {found[2]}.")
    if found := re.search(r"arguments are required: (.*)", text):
        names = ["--" + n.rpartition(".")[2].replace("_", "-") for n in found[1].split(", ")]
        names = [n if n in known else n[2:] for n in names]
        return ConfigError(f"no {names[0]} given", hint=f"`limbeck {arguments[0]} --help` says what it needs.")
    if found := re.search(r"Parser key \"(?:.*?\.)??([\w.]+)\":\s*(.*?)(?:Given value|$)", text, re.DOTALL):
        given = re.search(r"Given value: (.*)", text)
        wanted = re.sub(r"typing\.|<class '(\w+)'>", r"\1", " ".join(found[2].split()))
        value = f" is {given[1]!r}" if given else ""
        return ConfigError(f"--{found[1].replace('_', '-')}{value}", hint=wanted or text)
    return ConfigError(" ".join(text.split()))


def _options_of(parser: ArgumentParser, arguments: Sequence[str]) -> set[str]:
    """Options of the parser that the typed words lead to."""
    current: Any = parser
    words = [a for a in arguments if not a.startswith("-")]
    for word in words:
        sub = next((a for a in current._actions if getattr(a, "_name_parser_map", None)), None)
        if sub is None or word not in sub._name_parser_map:
            break
        current = sub._name_parser_map[word]
    return {option for action in current._actions for option in action.option_strings}


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


def given(options: Namespace, settings: type[Any]) -> dict[str, Any]:
    """The fields of ``settings`` that were typed."""
    values = {f.name: options.get(f.name) for f in dataclasses.fields(settings)}
    hints = get_type_hints(settings)
    return {
        name: _words(value, hints[name]) if isinstance(value, str) and _is_tuple(hints[name]) else value
        for name, value in values.items()
        if value is not None
    }


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
