"""What a folder of ours holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from limbeck.data import EMBEDDED
from limbeck.errors import FormatError
from limbeck.files import read_json

__all__ = ["inspect"]


def inspect(path: Path) -> dict[str, Any]:
    """A store (or an embedded set by its name), a run or an artifact, JSON-ready.

    Raises FormatError where ``path`` is none of them.
    """
    if (path / "store.json").exists() or (str(path) in EMBEDDED and not path.exists()):
        from limbeck.data import open_data

        return {"what": "store", **open_data(str(path)).summary()}
    if (path / "config.json").exists():
        return _run(path)
    if (path / "synthetic.json").exists():
        return {"what": "artifact", **_artifact(path)}
    hint = "A study is looked at run by run: its runs/ holds them." if (path / "study.json").exists() else None
    raise FormatError("neither a store nor a run nor an artifact", where=path, hint=hint)


def _run(path: Path) -> dict[str, Any]:
    about: dict[str, Any] = {"what": "run", "config": read_json(path / "config.json"), "finished": False}
    if (path / "run.json").exists():
        about |= read_json(path / "run.json")
    if (path / "synthetic").exists():
        about |= {"finished": True, "synthetic": _artifact(path / "synthetic")}
    if (path / "result.json").exists():
        result = read_json(path / "result.json")
        about["score"] = {k: result[k] for k in ("protocol", "version", "mean", "std", "n", "interval") if k in result}
    return about


def _artifact(path: Path) -> dict[str, Any]:
    from limbeck.synthetic import SyntheticSet

    synthetic = SyntheticSet.load(path)
    settings = synthetic.provenance.get("settings")
    pairs = synthetic.labels is None or (isinstance(settings, dict) and settings.get("pairs") is not None)
    return {
        "items": len(synthetic),
        "by": "pairs" if pairs else "class",
        "factor": synthetic.factor,
        "decoded_items": len(synthetic) * synthetic.factor**2,
        "bytes": synthetic.counted_bytes,
        "storage": synthetic.storage,
        "classes": list(synthetic.classes),
        "captions": sum(len(words) for item in synthetic.captions or () for words in item),
        "similarity": None
        if synthetic.similarity is None
        else {"rank": synthetic.similarity.factors.left.shape[1], "alpha": synthetic.similarity.alpha},
        "modalities": [f"{m.name} {'x'.join(map(str, m.shape))}" for m in synthetic.modalities.values()],
        "provenance": {k: v for k, v in synthetic.provenance.items() if k != "real_items"},
    }
