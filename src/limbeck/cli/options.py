"""The options of every verb. Those of a run and of preparing are the settings they become."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from limbeck.cli.fields import add_settings, new_parser

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

    from limbeck.methods import Method

__all__ = ["OPTIONS"]

SIZED = ("steps", "real_batch", "channels")
SIZES = "by method and size of the media"
PAIRS = (100, 200, 500)
"""Budgets that methods by pairs were published at."""


def _distill(parser: ArgumentParser) -> None:
    _by_method(parser, estimate=False)


def _estimate(parser: ArgumentParser) -> None:
    _by_method(parser, estimate=True)


def _by_method(parser: ArgumentParser, *, estimate: bool) -> None:
    from limbeck.engine.settings import RunSettings
    from limbeck.methods import methods

    chosen = parser.add_subcommands(required=True, dest="method_name", metavar="METHOD")
    for name, method in methods().items():
        sub = new_parser(inspect.getdoc(method) or "", f"limbeck {'estimate' if estimate else 'distill'} {name}")
        chosen.add_subcommand(name, sub, help=method.title)
        sub.add_argument("--config", type=str, help="settings in YAML or JSON, such as a run's config.json")
        sub.add_argument("--data", type=str, help="digits, rooms, toy, or the folder of a prepared store")
        if not estimate:
            sub.add_argument("--out", type=str, help="the run folder")
            sub.add_argument("--resume", action="store_true", help="go on with the run in --out")
        else:
            _json(sub)
        add_settings(sub, RunSettings, shown=_shown(method))
        add_settings(sub, method, prefix="method.")


def _shown(method: type[Method]) -> dict[str, Any]:
    """By setting, what the help says of a default that is not the engine's."""
    from limbeck.synthetic import Budget

    published: dict[str, list[Any]] = {}
    for pairs in PAIRS if method.by == ("pairs",) else ():
        for name, value in method.published(Budget(pairs=pairs)).items():
            published.setdefault(name, []).append(value)
    budgets = f"by --pairs: {', '.join(map(str, PAIRS))} or the nearest"
    hanging = {name: f"{', '.join(f'{v:g}' for v in values)} {budgets}" for name, values in published.items()}
    return dict.fromkeys(SIZED, SIZES) | hanging | dict(method.defaults)


def _evaluate(parser: ArgumentParser) -> None:
    parser.add_argument(
        "target", type=str, help="a run, an artifact, or a data set, whose whole training split is scored"
    )
    parser.add_argument("--protocol", type=str, help="`limbeck protocols` lists them (default: what fits the set)")
    parser.add_argument(
        "--students", type=str, help="joined by commas: convnet, lenet, alexnet, vgg11, resnet18, imagebind-tiny, "
        "imagebind-base; by pairs nfnet, nf_resnet50, nf_regnet, vit, convnet, patches; under heads alone an encoder "
        "as of `limbeck embed` (default: the distilling encoder)",
    )  # fmt: skip
    parser.add_argument(
        "--seeds", type=str, default="0:5", help="of the students: 0:5 are five, 0,2,5 are three, 3 is seed 3 alone"
    )
    parser.add_argument("--data", type=str, help="the real set, where it is not the one the run was made from")
    parser.add_argument("--whole", action="store_true", help="score the whole training split beside it")
    parser.add_argument("--whole-seeds", type=str, default="0:3", help="its students")
    parser.add_argument("--modalities", type=str, help="which students see, joined by commas (default: all)")
    parser.add_argument("--fusion", type=str, help="ensemble, sum, concat, attention (default: the protocol's)")
    parser.add_argument("--weights", type=str, help="a safetensors file that the students' encoders start from")
    parser.add_argument("--save-weights", type=str, help="a folder that keeps the trained students as such files")
    parser.add_argument("--channels", type=int, help="width of the students (default: the distilling encoder's)")
    parser.add_argument("--captions", type=str, help="by pairs: encoder of real captions (default: the set's)")
    parser.add_argument("--width", type=int, help="by pairs, heads: of the shared space (default: the set's)")
    parser.add_argument("--pretrained", type=str, help="where towers or frozen encoders start: auto, none, or a file")
    parser.add_argument(
        "--as-published", action="store_true", help="by pairs: with the similarity, step sizes and loss the set learnt"
    )
    parser.add_argument(
        "--select", type=str, default="last", help="by pairs, the epoch scored: last, validation, test-oracle [last]"
    )
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda")
    parser.add_argument("--kernels", type=str, default="auto", help="auto, literal, fused")
    parser.add_argument("--precision", type=str, default="fp32", help="fp32, bf16")
    parser.add_argument("--threads", type=int, help="of the CPU (default: its cores)")
    parser.add_argument("--split", type=str, default="test", help="whose items students are scored on")
    parser.add_argument("--at-once", type=int, help="students trained in one pass (default: 1 on a CPU, all on a GPU)")
    _json(parser)


def _compare(parser: ArgumentParser) -> None:
    parser.add_argument("results", type=str, nargs="+", help="runs that were scored, their results/*.json, or studies")
    parser.add_argument("--protocol", type=str, help="which score to take where runs hold several")
    parser.add_argument("--as-published", action="store_true", help="scores with what the sets learnt beside the items")
    parser.add_argument("--metric", type=str, help="joined by commas (default: Mean, or fused)")
    parser.add_argument("--baseline", type=str, help="a method: each row's paired difference from its row is told")
    parser.add_argument("--format", type=str, default="table", help="table, markdown, latex, csv")
    _json(parser)


def _study(parser: ArgumentParser) -> None:
    parser.add_argument("file", type=str, help="the study: methods, budgets, seeds, scoring; YAML or JSON")
    parser.add_argument("--out", type=str, required=True, help="the study's folder")
    parser.add_argument("--executor", type=str, default="local", help="local, ray")
    parser.add_argument("--workers", type=int, help="cells at a time (default: one a core, 8 at most, or one a GPU)")
    parser.add_argument("--address", type=str, help="of a Ray cluster: auto, ray://HOST:PORT (default: one of its own)")
    parser.add_argument("--resume", action="store_true", help="go on with the study in --out; the file may have grown")
    _json(parser)


def _prepare(parser: ArgumentParser) -> None:
    from limbeck.data import PrepareSettings

    parser.add_argument("reader", type=str, help="`limbeck datasets` lists them")
    parser.add_argument("--root", type=str, required=True, help="the raw data: a folder, or a manifest file")
    parser.add_argument("--out", type=str, required=True, help="the store's folder")
    parser.add_argument("--on-error", type=str, default="error", help="error stops at a bad file, skip leaves it out")
    parser.add_argument("--workers", type=int, help="processes (default: one a core)")
    parser.add_argument(
        "--for",
        type=str,
        dest="preset",
        help="imagebind: its normalisation, mel and text_embedding where none is given",
    )
    add_settings(parser, PrepareSettings)
    _json(parser)


def _embed(parser: ArgumentParser) -> None:
    parser.add_argument("data", type=str, help="digits, rooms, toy, or the folder of a prepared store")
    parser.add_argument(
        "--encoder", type=str, required=True, help="aligned, patches, identity, imagebind, imagebind-base, "
        "imagebind-tiny, clip, clap, or package.module:function",
    )  # fmt: skip
    parser.add_argument("--out", type=str, required=True, help="the new store's folder")
    parser.add_argument("--modalities", type=str, help="which of the set's, joined by commas (default: all)")
    parser.add_argument(
        "--captions", type=str, help="encoder of captions, as of distill (default: the encoder's own, else minilm)"
    )
    parser.add_argument("--pretrained", type=str, default="auto", help="auto, none, a file, or a model's folder [auto]")
    parser.add_argument("--width", type=int, help="of the space of aligned [256]")
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda")
    parser.add_argument("--precision", type=str, default="fp32", help="fp32, bf16")
    _json(parser)


def _report(parser: ArgumentParser) -> None:
    parser.add_argument("run", type=str, help="the folder of a run, or of a study")
    parser.add_argument("--out", type=str, help="the page (default: report.html in the folder)")
    parser.add_argument(
        "--projection", type=str, default="auto",
        help="real and synthetic items in the plane, through a network trained once on the whole real set: tsne, umap, "
        "none, or auto: tsne where the real set is here and it is quick (default: auto)",
    )  # fmt: skip


def _export(parser: ArgumentParser) -> None:
    parser.add_argument("run", type=str, help="a run or an artifact")
    parser.add_argument(
        "--to", type=str, default="folder", help="folder: PNG, WAV and labels.csv; webdataset: tar shards; "
        "huggingface: Parquet for its datasets; ddranking: tensor files, by class [folder]",
    )  # fmt: skip
    parser.add_argument("--out", type=str, help="where to (default: export, or export-TO, in the run folder)")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier export")


def _import(parser: ArgumentParser) -> None:
    parser.add_argument("source", type=str, help="avdd: distilled sets that AVDD's authors published")
    parser.add_argument("--root", type=str, required=True, help="folder of exp_*_imgSyn_*.pth or of class:*.pt files")
    parser.add_argument("--data", type=str, required=True, help="the store of the real set that they were made from")
    parser.add_argument("--out", type=str, required=True, help="the run folder to make")
    parser.add_argument("--experiment", type=int, default=0, help="which of the authors' experiments [0]")
    parser.add_argument("--step", type=int, default=5000, help="of that experiment [5000]")
    parser.add_argument("--factor", type=int, default=2, help="2: items hold four each; 1: they are whole [2]")


def _pack(parser: ArgumentParser) -> None:
    parser.add_argument("run", type=str, help="a run or an artifact; it stays as it is")
    parser.add_argument("--storage", type=str, required=True, help="fp32, fp16, or uint8 with a scale and an offset")
    parser.add_argument("--out", type=str, required=True, help="the new folder: a run again, to be scored by itself")


def _inspect(parser: ArgumentParser) -> None:
    parser.add_argument("target", type=str, help="a run, an artifact or a data set")
    _json(parser)


def _bank(parser: ArgumentParser) -> None:
    parser.add_argument("--data", type=str, required=True, help="the real set: digits, rooms, toy, or a store's folder")
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
    "distill": ("distil a data set into a synthetic set", "METHOD", _distill),
    "evaluate": ("train students on a set and score them on real items", "RUN", _evaluate),
    "compare": ("scores of several runs in one table, under one protocol", "RUN...", _compare),
    "study": ("methods x budgets x seeds from one file, to tables and a page", "FILE", _study),
    "bank": ("train the encoders and decouplers that DAVDD looks through, once for a set", "", _bank),
    "prepare": ("decode raw media into a store, once", "READER", _prepare),
    "embed": ("a store's items and captions as the vectors of a frozen encoder: a store too", "DATA", _embed),
    "import": ("a distilled set that somebody else published", "avdd", _import),
    "report": ("one HTML page of a run, or of a study: pictures, sounds, curves, scores", "RUN", _report),
    "export": ("take a synthetic set away in a form that others read, with its card", "RUN", _export),
    "pack": ("a finished set kept in half precision or in bytes: a run of its own", "RUN", _pack),
    "inspect": ("what a run, an artifact or a data set holds", "FOLDER", _inspect),
    "estimate": ("what a run will cost, measured on a few of its steps", "METHOD", _estimate),
    "methods": ("the methods", "", _json),
    "datasets": ("the data sets and readers", "", _json),
    "protocols": ("how synthetic sets are scored", "", _json),
    "recipes": (
        "the papers' tables, cell by cell: what was published, and running it again",
        "[TABLE | run TABLE]",
        _recipes,
    ),
    "doctor": ("what this machine has, and what is missing for what", "", _json),
}
"""By verb: what it does, the words between its name and its options, and what adds these to a parser."""
