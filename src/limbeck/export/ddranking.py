"""DD-Ranking's tensor files: what its evaluators take as ``image_tensor``, ``hard_labels`` and ``syn_lr``.

``images.pt`` is (N, C, H, W) float32 and ``labels.pt`` (N,) int64, classes in ascending order, as its evaluators
assume where they are given no labels. ``<modality>.pt`` holds every other modality, spectrograms as (N, clips, bands,
frames). ``lr.pt`` is the learnt step size of pictures where the method learnt one.

Values are normalised as students see them, neither rounded nor clamped; ``ddranking.json`` has each modality's mean
and std. DD-Ranking normalises its own real sets with constants of theirs: x * std + mean gives back 0..1.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from limbeck.errors import ConfigError
from limbeck.files import write_json
from limbeck.modalities import Image
from limbeck.synthetic import SyntheticSet

__all__ = ["write"]

OWN = ("images", "labels", "lr")


def write(synthetic: SyntheticSet, folder: Path) -> None:
    """Fill ``folder``. Raises ConfigError for a set without classes, which DD-Ranking has no score of."""
    import torch

    pictures = next((n for n, m in synthetic.modalities.items() if isinstance(m, Image)), None)
    if synthetic.labels is None:
        raise ConfigError(
            "DD-Ranking scores by class, and this set is by pair", hint="Export to folder, webdataset or huggingface."
        )
    if clash := [name for name in synthetic.modalities if name in OWN and name != pictures]:
        raise ConfigError(f"DD-Ranking calls something else {clash[0]!r}", hint="Give that modality another name.")
    with torch.no_grad():
        batch, labels = synthetic.decode()
    assert labels is not None
    order = torch.argsort(labels, stable=True)
    files = {}
    for name, modality in synthetic.modalities.items():
        file = "images.pt" if name == pictures else f"{name}.pt"
        torch.save(batch[name][order].detach().cpu().contiguous(), folder / file)
        files[file] = modality.to_dict()
    torch.save(labels[order].cpu(), folder / "labels.pt")
    learnt = synthetic.provenance.get("step_sizes")
    if pictures and isinstance(learnt, Mapping) and isinstance(learnt.get(pictures), float):
        torch.save(torch.tensor(learnt[pictures]), folder / "lr.pt")
    about = {"files": files, "classes": list(synthetic.classes), "items": order.tolist()}
    write_json(folder / "ddranking.json", about)
