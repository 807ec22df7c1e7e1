"""The card of an exported set: where it comes from, what it is worth, and what may be done with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from limbeck import __version__
from limbeck.data.sources import UNKNOWN, source_of
from limbeck.export.contents import FILES, ORDER, PLAIN
from limbeck.export.scores import notes, score_rows
from limbeck.files import read_json
from limbeck.methods import Method, methods
from limbeck.modalities import Audio, Image, Text
from limbeck.synthetic import SyntheticSet
from limbeck.units import size

__all__ = ["write_card"]

HERE = Path(__file__).parent
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
"""What the Hub calls them."""
NOT_SETTINGS = ("device", "threads", "kernels", "cache", "cache_limit", "checkpoint_every", "tensorboard")
"""Settings of the machine, not of the set."""
OWN = "the package's own"


def write_card(synthetic: SyntheticSet, folder: Path, to: str, run: Path | None = None) -> None:
    """Write ``README.md`` into an export.

    Args:
        folder: the export, with the artifact in it.
        to: its target.
        run: the run folder, whose scores are shown; None where there is none.

    Raises FormatError where ``run`` holds scores that are none.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    pages.filters |= {"words": _words, "code": _code, "fenced": _fenced}
    text = pages.get_template("card.md.j2").render(**_content(synthetic, folder, to, run))
    (folder / "README.md").write_text(text, encoding="utf-8")


def _content(synthetic: SyntheticSet, folder: Path, to: str, run: Path | None) -> dict[str, Any]:
    made = synthetic.provenance
    told = made.get("data")
    data: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    source, store = source_of(data)
    name = _line(made.get("method") or "unknown")
    method = methods().get(name)
    data_name = _line(data.get("name") or "an unnamed set")
    decoded = len(synthetic) * synthetic.factor**2
    items = f"{len(synthetic):,} item{'s' if len(synthetic) != 1 else ''}"
    return {
        "front": _front(synthetic, data_name, name, to),
        "title": _words(f"{data_name}, distilled by {name}"),
        "what": "A **coreset**" if method and method.kind == "coreset" else "A **distilled** data set",
        "size": items if decoded == len(synthetic) else f"{items}, each of which decodes to {synthetic.factor**2}",
        "facts": _facts(synthetic, folder),
        "files": _listed(folder, FILES[to]),
        "order": ORDER.get(to, "Items are in the order of `synthetic.decode()`."),
        "plain": PLAIN[to],
        "scores": score_rows(run),
        "notes": notes(run),
        "data": {"name": data_name, "title": source.title, "licence": source.licence, "hash": data.get("hash", "-")},
        "rights": _rights(method),
        "method": {"name": name, "title": method.title if method else UNKNOWN, "paper": _paper(method)},
        "made": _made(made),
        "settings": _settings(made.get("settings")),
        "encoders": _encoders(synthetic, store),
        "limits": _limits(synthetic, to),
        "cite": _cite(name, method),
    }


def _front(synthetic: SyntheticSet, data: str, method: str, to: str) -> str:
    """The YAML that the Hub reads: between two lines of ``---``."""
    import yaml

    count = len(synthetic) * synthetic.factor**2
    tasks = {"image-classification": Image, "audio-classification": Audio}
    kinds = [t for t, kind in tasks.items() if any(isinstance(m, kind) for m in synthetic.modalities.values())]
    front: dict[str, Any] = {
        "pretty_name": f"{data}, distilled by {method}",
        "license": "unknown",  # of the real data; the card says what is known
        "tags": ["dataset-distillation", "limbeck", method],
        "size_categories": [next((name for most, name in SIZES if count < most), "1M<n<10M")],
    }
    if synthetic.labels is not None and kinds:
        front["task_categories"] = kinds
    if to == "huggingface":
        files = [{"split": "train", "path": "data/train-*.parquet"}]
        front["configs"] = [{"config_name": "default", "data_files": files}]
    return str(yaml.safe_dump(front, sort_keys=False, allow_unicode=True))


def _facts(synthetic: SyntheticSet, folder: Path) -> list[tuple[str, str]]:
    told = synthetic.provenance.get("settings")
    settings: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    decoded = len(synthetic) * synthetic.factor**2
    budget = [
        f"{n} {words}"
        for k, words in (("per_class", "per class"), ("pairs", "pairs"), ("bytes", "bytes"))
        if (n := settings.get(k))
    ]
    artifact = read_json(folder / "synthetic" / "synthetic.json")
    facts = [
        ("Modalities", ", ".join(f"{m.name} ({m.kind}) {_times(m.shape)}" for m in synthetic.modalities.values())),
        ("Classes", f"{len(synthetic.classes)}: {', '.join(synthetic.classes)}" if synthetic.classes else "none"),
        ("Budget", budget[0] if budget else f"{len(synthetic)} items"),
        ("Items", f"{len(synthetic):,} stored, {decoded:,} decoded (factor {synthetic.factor})"),
        ("Bytes of learnt numbers", f"{synthetic.bytes:,} ({size(synthetic.bytes)}), {_stored(synthetic)}"),
        ("Artifact (SHA-256)", str(artifact["sha256"])),
        ("Run", str(synthetic.provenance.get("run_hash", "not recorded"))),
    ]
    return facts if synthetic.classes else [fact for fact in facts if fact[0] != "Classes"]


def _stored(synthetic: SyntheticSet) -> str:
    """Such as "stored as uint8"; by modality where they differ."""
    kinds = set(synthetic.storage.values())
    each = [f"{name} as {kind}" for name, kind in synthetic.storage.items()]
    return f"stored as {kinds.pop()}" if len(kinds) == 1 else f"stored {', '.join(each)}"


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _listed(folder: Path, files: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Of the patterns those that match a file which none before them does."""
    left, found = set(folder.rglob("*")), []
    for pattern, what in files:
        if match := left & set(folder.glob(pattern)):
            found.append((pattern, what))
            left -= match
    return found


def _rights(method: type[Method] | None) -> str:
    if method is not None and method.kind == "coreset":
        return (
            "**These are real items of that set, chosen and not changed**: its licence, and the rights of the people "
            "who are seen and heard in it, hold for every one of them."
        )
    return (
        "Distilled items are derived from that set, and most methods begin with real items of it, which can remain "
        "recognisable: do not take them for anonymous, and respect its licence."
    )


def _paper(method: type[Method] | None) -> str:
    """The paper as the method's file names it, without pointers into this package's documents."""
    named = re.sub(r"\s*\(docs/[^)]*\)", "", method.paper).strip(" -") if method else ""
    return named or (UNKNOWN if method is None else "none")


def _made(made: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    if "steps_done" in made:
        taken = made.get("steps_taken", made["steps_done"])
        rows.append(("Steps", f"{made['steps_done']}" + (f" kept of {taken}" if taken != made["steps_done"] else "")))
    if made.get("selection"):
        rows.append(("Step selected by", str(made["selection"])))
    rows.append(("Seed", str(made.get("seed", "not recorded"))))
    told = made.get("versions")
    versions: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    rows.append(("Versions", ", ".join(f"{name} {number}" for name, number in versions.items()) or "not recorded"))
    return rows


def _settings(settings: object) -> str:
    import yaml

    known = settings if isinstance(settings, Mapping) else {}
    told = {k: _public(v) for k, v in known.items() if k not in NOT_SETTINGS}
    return str(yaml.safe_dump(told, sort_keys=False))


def _encoders(synthetic: SyntheticSet, store: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Encoders whose weights are somebody else's, with their licences."""
    from limbeck.encoders.frozen import FROZEN

    told, about = synthetic.provenance.get("settings"), store.get("embedded")
    settings: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    found = {}
    if (kind := FROZEN.get(str(settings.get("encoder")))) is not None:
        found[kind.name] = kind.licence
    if isinstance(about, Mapping):
        found[str(about.get("encoder"))] = str(about.get("licence"))
    found = {name: licence for name, licence in found.items() if licence != OWN}
    for modality in synthetic.modalities.values():
        if isinstance(modality, Text) and not modality.embedding.startswith("hashing"):
            captions = str(settings.get("captions", "stored"))
            name = modality.embedding if captions == "stored" else captions
            found[name] = f"the encoder of captions; {UNKNOWN}"
    return [(_public(name), licence) for name, licence in found.items()]


def _public(value: Any) -> Any:
    """Of a folder on somebody's machine only the last part of its name."""
    if isinstance(value, Mapping):
        return {key: _public(each) for key, each in value.items()}
    whole = isinstance(value, str) and (PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute())
    return PureWindowsPath(value).name if whole else value


def _limits(synthetic: SyntheticSet, to: str) -> list[str]:
    kinds = {m.kind for m in synthetic.modalities.values()}
    limits = [
        "Meant for training small models quickly: comparing architectures, trying ideas, memories of continual "
        "learning. Not for measuring anything about the world: it is no sample of the real set.",
        "Learnt items were optimised for networks and not for people. They may look and sound like noise.",
        "Scores hold for the protocol and the students named above; what others make of these items was not measured.",
        "What the real set lacks or overrepresents, this one does, too, and there is less of it to notice it by.",
    ]
    if "audio" in kinds and to != "ddranking":
        limits.append(
            "Sounds were turned back from spectrograms (Griffin-Lim), which is lossy; students see the latter."
        )
    if kinds & {"image", "depth"} and to != "ddranking":
        limits.append("Pictures are rounded and cut to what their file holds; `synthetic/` has the numbers as learnt.")
    return limits


def _cite(name: str, method: type[Method] | None) -> str:
    own = (
        "@software{limbeck,\n  title = {Limbeck: multimodal dataset distillation},\n"
        f"  version = {{{__version__}}}\n}}"
    )
    paper = _paper(method)
    if paper in (UNKNOWN, "none"):
        return own
    return f"{own}\n\n@misc{{{name},\n  title = {{{method.title if method else name}}},\n  note = {{{paper}}}\n}}"


def _words(text: object) -> str:
    """On one line, and with nothing that Markdown or HTML would take for its own."""
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", _line(text))


def _code(text: object) -> str:
    """On one line, between two backticks."""
    return f"`{_line(text).replace('`', chr(39))}`"


def _fenced(text: str) -> str:
    """YAML between two fences, longer than any inside."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}yaml\n{text}{fence}"


def _line(text: object) -> str:
    return " ".join(str(text).split())
