"""What a run is told: the settings of the loop, and the presets that fit them to the data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from limbeck.config import build
from limbeck.errors import ConfigError, nearest
from limbeck.synthetic import Budget, SyntheticSet

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore
    from limbeck.methods import Method
    from limbeck.modalities import Modality

__all__ = ["FRESH", "LOOKING", "NOISE", "RunSettings", "chosen_modalities", "preset", "resolve", "weighed"]

FRESH = "random"
"""The encoder that is none in particular: new random networks each step."""
LOOKING = ("means", "embeddings")
"""Objectives of methods that look through an encoder which they do not train."""

NOISE = "noise"
"""First items that are no real items: normalised values drawn from N(0, 1), as DC's code does; in runs by pairs, spread
as the real ones are, as MDM's code does."""


@dataclass(frozen=True)
class RunSettings:
    """Settings of a run. The method's own settings stand beside them.

    Args:
        per_class: budget, stored items of each class (IPC, DPC in papers).
        pairs: budget in stored items in all, for methods that work by pair.
        bytes: budget of real items that are chosen: as many as fit in the form their media ship in. A number, or a run
            whose set's bytes it is.
        storage: what the finished set is kept as: whole (fp32), in half precision, or in bytes with a scale and an
            offset; its values are then what that stands for. Steps are taken on whole numbers.
        seed: of every random stream of the run; other seeds share no draw.
        steps: updates of the synthetic set (5000 in AVDD).
        init: selection the first items come from: random, herding, kcenter, forgetting, grand (by class), kmeans (by
            pairs); or "noise" for none.
        factor: l, one stored item decodes to l*l.
        modalities: which of the set's to use; all by default.
        lr: rate of SGD on the normalised values (0.2 in AVDD).
        lr_rule: "width" multiplies the rate by 6272 / D, because losses are summed over D features; "plain" takes it
            as it is.
        momentum: of SGD (0.5 in AVDD).
        real_batch: real items of each class, or real pairs, a step, without replacement (128 in AVDD).
        real_statistics: "batch" draws ``real_batch`` items of each class (the papers), "class" looks at all of them.
        draws: DSA parameters a pair of a bank is looked through with under "class" statistics.
        channels: width of the ConvNets (128 in the papers).
        augment: DSA families joined by "_", one drawn at a time; empty for none.
        dsa_sharing: "class" draws DSA for each class (AVDD, Algorithm 1), "step" once for all classes (its code).
        stepping: "step" sums classes and steps once; "per_class" steps after each class, as AVDD's code does.
        streams: "authors" seeds networks and draws as AVDD's code does, so that neighbouring seeds are one run
            shifted by a step.
        device: "auto" takes a GPU where there is one.
        kernels: "fused" or "literal" encoder blocks; "auto" takes the fused where a compiler makes it worth while.
        precision: of the convolutions; pixels and means stay fp32.
        threads: of the CPU; its cores by default.
        group: classes a forward takes together on the synthetic side; measured once for the machine by default.
        real_group: the same on the real side.
        encoder: what a step looks through: "random", fresh networks each step; or one that stands still: aligned,
            patches, identity, imagebind, imagebind-base, imagebind-tiny, clip, clap, or package.module:function. A
            store that `limbeck embed` made is looked at as it is: "identity".
        pretrained: where a frozen encoder or a tower starts: "auto" (trained weights, where its papers start), "none",
            or a file.
        fixed: modalities that keep their first values, such as a scene's name.
        optimiser: of the values: "sgd", or "adam", which has no momentum of its own to be told.
        captions: frozen encoder of captions: bert, distilbert, minilm, hashing, clip, clap, imagebind, a model's
            folder, or "stored", the vectors of a store that `limbeck embed` made. This and the next six are of runs by
            pairs.
        tower: of the first modality: nfnet, nf_resnet50, nf_regnet, vit, patches, convnet, lenet, alexnet, vgg11,
            resnet18; "auto" is the papers' nfnet for large pictures and convnet else.
        frozen: keep the tower as it is and train a head on it.
        width: of the space that both towers share; by default what the tower gives.
        validate: protocol that chooses the step to keep by the validation split; "auto" is the one for the tower, where
            the set has such a split; "none" keeps the last step.
        validate_every: steps between two such looks.
        patience: looks without a better one before the run ends.
        clip: largest norm of a step's gradient, over all modalities together.
        cache: keep the real class means on disk for the next run.
        cache_limit: gigabytes one cache file may take.
        cache_dtype: "fp16" halves the file and rounds the means; of experts on pairs, what they moved.
        checkpoint_every: seconds between checkpoints; 0 for every step.
        snapshots: keep the set every so many steps, in the run's ``snapshots`` folder; 0 for never.
        tensorboard: also write TensorBoard events.
    """

    per_class: int | None = None
    pairs: int | None = None
    bytes: int | str | None = None
    storage: Literal["fp32", "fp16", "uint8"] = "fp32"
    seed: int = 0
    steps: int = 5000
    init: str = "random"
    factor: int = 1
    modalities: tuple[str, ...] | None = None
    lr: float = 0.2
    lr_rule: Literal["width", "plain"] = "plain"
    momentum: float = 0.5
    real_batch: int = 128
    real_statistics: Literal["batch", "class"] = "batch"
    draws: int = 16
    channels: int = 128
    augment: str = "color_crop_cutout_flip_scale_rotate"
    dsa_sharing: Literal["class", "step"] = "class"
    stepping: Literal["step", "per_class"] = "step"
    streams: Literal["independent", "authors"] = "independent"
    device: str = "auto"
    kernels: Literal["auto", "literal", "fused"] = "auto"
    precision: Literal["fp32", "bf16"] = "fp32"
    threads: int | None = None
    group: int | None = None
    real_group: int | None = None
    encoder: str = "random"
    pretrained: str = "auto"
    fixed: tuple[str, ...] = ()
    optimiser: Literal["sgd", "adam"] = "sgd"
    captions: str = "bert"
    tower: str = "auto"
    frozen: bool = False
    width: int | None = None
    validate: str = "none"
    validate_every: int = 50
    patience: int = 20
    clip: float | None = None
    cache: bool = True
    cache_limit: float = 4.0
    cache_dtype: Literal["fp32", "fp16"] = "fp32"
    checkpoint_every: float = 60.0
    snapshots: int = 0
    tensorboard: bool = False

    @property
    def budget(self) -> Budget:
        """How many items the set may hold."""
        assert not isinstance(self.bytes, str)  # a run's was looked up by then, see weighed()
        return Budget(self.per_class, self.pairs, self.bytes)

    def __post_init__(self) -> None:
        if self.bytes is not None and self.storage != "fp32":
            raise ConfigError(
                "a budget in bytes counts real items as they ship", where="--storage", hint="Leave --storage out."
            )
        for name in ("steps", "seed", "snapshots"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}", hint="It is 0 or more.")
        whole = ("factor", "real_batch", "draws", "channels", "threads", "group", "real_group")
        for name in (*whole, "width", "validate_every", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}", hint="It is 1 or more.")
        if not self.checkpoint_every >= 0 or not self.cache_limit >= 0:
            raise ConfigError(
                f"checkpoint_every {self.checkpoint_every}, cache_limit {self.cache_limit}", hint="Both are 0 or more."
            )
        if self.clip is not None and not 0 < self.clip < math.inf:
            raise ConfigError(f"clip is {self.clip}", hint="It is above 0.")
        if not 0 < self.lr < math.inf or not 0 <= self.momentum < 1:
            raise ConfigError(
                f"lr {self.lr}, momentum {self.momentum}", hint="A rate is above 0, a momentum from 0 up to 1."
            )


def preset(store: PairedStore) -> dict[str, Any]:
    """Settings that fit the size of the data: the papers' from 112 x 112 pictures up, smaller loops for smaller
    media.

    The small ones are measured on two CPU cores (docs/results.md); none was chosen by a test score.
    """
    from limbeck.encoders.build import fitting_channels, side_of

    side, channels = side_of(store.modalities), {"channels": fitting_channels(store.modalities)}
    if side <= 16:
        return {"steps": 200, "real_batch": 32, **channels}
    if side <= 32:
        return {"steps": 150, "real_batch": 24, **channels}
    if side <= 64:
        return {"steps": 100, "real_batch": 24, **channels}
    return {}


def weighed(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings with a run that ``bytes`` names replaced by what its set weighs.

    Raises ConfigError where it is neither a number nor a run, FormatError where the run's set is not there.
    """
    named = given.get("bytes")
    if not isinstance(named, str | Path):
        return given
    if not Path(named).is_dir():
        raise ConfigError(f"{str(named)!r} is neither a number nor a run", where="--bytes")
    return {**given, "bytes": SyntheticSet.load(named).counted_bytes}


def resolve(method: type[Method], store: PairedStore, given: Mapping[str, Any]) -> RunSettings:
    """The run's settings: what was given, over the method's defaults, over the data's preset, over the loop
    the method was published with, over the engine's.

    Raises ConfigError on unknown keys and on values that do not fit.
    """
    given = weighed(given)
    build(RunSettings, given)  # names the user's own mistakes, not a preset's
    asked = [given.get(name) for name in ("per_class", "pairs", "bytes")]
    budget = Budget(*asked) if any(n is not None for n in asked) else Budget(per_class=1)
    defaults = {**method.published(budget), **preset(store), **method.defaults}
    names = given.get("modalities") or tuple(store.modalities)
    if budget.per_class is None or not all(store.modalities[n].spatial for n in names if n in store.modalities):
        defaults["factor"] = 1  # pairs are whole, and vectors have no cells
    if store.settings.get("embedded"):
        defaults["captions"] = "stored"
        if method.objective in LOOKING and method().bank is None:
            defaults["encoder"] = "identity"
    if given.get("encoder", defaults.get("encoder", FRESH)) != FRESH:
        defaults["augment"] = ""  # so that real embeddings are computed once; asked for, they are under `draws` of them
    settings = build(RunSettings, {**defaults, **given})
    if method.kind == "coreset" and settings.steps:
        raise ConfigError(f"{method.name} chooses real items and takes no steps", hint="Leave --steps out.")
    if method.kind == "coreset" and settings.init != method.defaults["init"]:
        raise ConfigError(
            f"{method.name} is a choice of real items itself, --init {settings.init} is another",
            hint="Leave --init out, or name the other as the method.",
        )
    if settings.optimiser == "adam" and settings.momentum != defaults.get("momentum", RunSettings.momentum):
        raise ConfigError("Adam has moments of its own", where="--momentum", hint="Leave it out.")
    if all(n is None for n in (settings.per_class, settings.pairs, settings.bytes)):
        settings = dataclasses.replace(settings, per_class=1)
    return settings


def chosen_modalities(store: PairedStore, names: tuple[str, ...] | None) -> dict[str, Modality]:
    """The modalities a run uses, in the store's order. Raises ConfigError on a name the store has not, or one twice."""
    for name in names or ():
        if name not in store.modalities:
            raise ConfigError(
                f"the set has no modality {name!r}", where="--modalities", hint=nearest(name, store.modalities)
            )
    if len(set(names or ())) < len(names or ()):
        raise ConfigError(f"{', '.join(names or ())} names one twice", where="--modalities", hint="Name each one once.")
    return {name: m for name, m in store.modalities.items() if names is None or name in names}
