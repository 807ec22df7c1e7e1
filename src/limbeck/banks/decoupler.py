"""DAVDD's common projections: T decouplers for each member of a pretrained bank (section "Decoupler bank")."""

from __future__ import annotations

import dataclasses
import math
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from limbeck.banks.decoupler_training import DECOUPLER_RECIPE, DecouplerRecipe, features, train_decouplers
from limbeck.banks.folder import (
    Shapes,
    computing_as,
    found_folder,
    holds,
    made_here,
    name_of,
    read_tensors,
    write_tensors,
)
from limbeck.banks.pretrained import PretrainedBank
from limbeck.banks.projection import Kind, Projection
from limbeck.banks.turns import take_turns
from limbeck.encoders import ConvNet, Encoder, Kernels, Weights
from limbeck.errors import ConfigError, ShapeError
from limbeck.progress import Progress
from limbeck.training import Rows

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore

__all__ = ["DecouplerBank"]

VERSION = 1
KEPT_BYTES = 1 << 30
"""Weights of decouplers that are kept on the device after their use."""


class DecouplerBank:
    """T decouplers of each member of a pretrained bank, in a folder of that bank, made by :meth:`build`.

    | in the folder | what |
    |---|---|
    | ``about.json`` | what the weights depend on, beside the bank |
    | ``000-0.safetensors`` ... | half-precision maps of decoupler t of member m, ``modality/name`` |
    | ``locks/`` | one a member |
    """

    id: str
    """Hash of all the weights depend on, the bank included, the numbers of members and decouplers left out."""
    per_member: int
    path: Path
    projection: Projection
    were_missing: int = 0
    """Decouplers that were not there before it was built."""

    def __init__(self, path: Path, decouplers_id: str, bank: PretrainedBank, projection: Projection, per_member: int):
        self.path, self.id, self.bank, self.projection, self.per_member = (
            path, decouplers_id, bank, projection, per_member,
        )  # fmt: skip
        self._shapes = _shapes(bank, projection)
        self._kept: OrderedDict[tuple[int, int, str], dict[str, Weights]] = OrderedDict()

    @classmethod
    def build(
        cls,
        store: PairedStore,
        bank: PretrainedBank,
        *,
        per_member: int = 4,
        kind: Kind = "mlp",
        hidden: int = 512,
        recipe: DecouplerRecipe = DECOUPLER_RECIPE,
        device: str | torch.device = "cpu",
        progress: bool = False,
    ) -> Self:
        """The decouplers of a bank, trained as far as they are not there.

        A member's features are computed once, for all of its decouplers that are missing; these are trained together.
        It can be stopped at any time and goes on with the member it was at; finished ones are never touched again.
        Several processes may build at the same time: each takes the next missing member.

        Args:
            store: the real set the bank was trained on.
            per_member: T (4 in DAVDD).
            kind, hidden: of the maps; see :class:`limbeck.banks.projection.Projection`.
            recipe: how they are trained.
            progress: show it on standard error.

        Raises:
            ConfigError: settings that do not fit. ShapeError: one modality, or encoders of different widths.
            NumericsError: a decoupler diverges; names it.
        """
        if per_member < 1:
            raise ConfigError(f"{per_member} decouplers a member", where="per_member", hint="There is 1 or more.")
        projection = Projection(_width(bank), kind, hidden)
        settings = {
            "version": VERSION,
            "bank": bank.id,
            "maps": {"kind": kind, "shapes": projection.shapes},
            "recipe": recipe.to_dict(),
        }
        kernels = [e.kernels for e in bank.encoders.values() if isinstance(e, ConvNet)]
        here = made_here(device, kernels=kernels[0] if kernels else "literal")
        folder, made_with = found_folder(bank.path / "decouplers", settings, here)
        found = cls(folder, name_of([settings, made_with]), bank, projection, per_member)
        with computing_as(made_with):
            found._build(store, recipe, made_with["kernels"], torch.device(device), progress)
        return found

    def weights(self, member: int, t: int, device: str | torch.device = "cpu") -> dict[str, Weights]:
        """Decoupler t of a member: the map's weights by modality, float32. The last used stay on the device.

        Raises ConfigError where there is no such decoupler, FormatError where its file is damaged.
        """
        place = (member, t, str(device))
        kept = self._kept.pop(place, None)
        if kept is None:
            tensors, _ = read_tensors(self.file(member, t), self._shapes, torch.float16)
            kept = {name: {} for name in self.bank.encoders}
            for full, tensor in tensors.items():
                modality, _, name = full.partition("/")
                kept[modality][name] = tensor.to(device).float()
            each = 4 * sum(math.prod(shape) for shape in self._shapes.values())
            while self._kept and (len(self._kept) + 1) * each > KEPT_BYTES:
                self._kept.popitem(last=False)
        self._kept[place] = kept
        return kept

    def project(self, weights: Weights, z: Tensor) -> Tensor:
        """The common representation (N, D) of an encoder's output (N, D); pure, differentiable in both.

        Raises ShapeError where z has another width.
        """
        return self.projection(weights, z)

    def file(self, member: int, t: int) -> Path:
        """Where a decoupler is kept. Raises ConfigError where there is no such decoupler."""
        if not (0 <= member < self.bank.members and 0 <= t < self.per_member):
            raise ConfigError(
                f"no decoupler {t} of member {member}",
                where=self.path,
                hint=f"There are {self.bank.members} members of {self.per_member} each.",
            )
        return self.path / f"{member:03d}-{t}.safetensors"

    def missing(self, member: int) -> list[int]:
        """The decouplers of a member whose files are not there, or not whole."""
        return [t for t in range(self.per_member) if not holds(self.file(member, t), self._shapes, torch.float16)]

    def _build(
        self, store: PairedStore, recipe: DecouplerRecipe, kernels: Kernels, device: torch.device, progress: bool
    ) -> None:
        members = self.bank.members
        todo = [m for m in range(members) if self.missing(m)]
        self.were_missing = sum(len(self.missing(m)) for m in todo)
        if not todo:
            return
        data = Rows.labelled(store, "train", {n: store.modalities[n] for n in self.bank.encoders}, device)
        encoders = {name: _with_kernels(e, kernels) for name, e in self.bank.encoders.items()}
        steps = math.ceil(len(data) / recipe.batch) * recipe.epochs

        def work(group: Sequence[int]) -> None:
            (member,) = group
            which = self.missing(member)
            ready = sum(not self.missing(m) for m in range(members)) * steps

            def report(step: int) -> None:
                bar.update(ready + step, {"member": member + 1, "of": members}, bar.rate(recipe.batch * len(which)))

            cached = features(encoders, self.bank.weights(member, device), data, device)
            trained = train_decouplers(
                cached, data.labels, len(store.classes), self.projection, recipe,
                member=member, which=which, device=device, report=report,
            )  # fmt: skip
            for t, maps in zip(which, trained, strict=True):
                tensors = {f"{name}/{key}": w for name, own in maps.items() for key, w in own.items()}
                write_tensors(self.file(member, t), tensors, {"member": member, "decoupler": t})

        done = (members - len(todo)) * steps
        with Progress("decouplers", members * steps, done=done, shown=progress) as bar:
            take_turns(members, folder=self.path / "locks", missing=lambda m: bool(self.missing(m)), work=work)


def _width(bank: PretrainedBank) -> int:
    widths = {name: encoder.embedding for name, encoder in bank.encoders.items()}
    if len(widths) < 2:
        raise ShapeError(
            f"decouplers find what modalities have in common; the bank has {', '.join(widths)} alone",
            hint="Build the bank for two modalities or more.",
        )
    if len(set(widths.values())) > 1:
        raise ShapeError(f"embeddings of unequal widths {widths} have no common space")
    return next(iter(widths.values()))


def _shapes(bank: PretrainedBank, projection: Projection) -> Shapes:
    return {f"{name}/{key}": shape for name in bank.encoders for key, shape in projection.shapes.items()}


def _with_kernels(encoder: Encoder, kernels: Kernels) -> Encoder:
    return dataclasses.replace(encoder, kernels=kernels) if isinstance(encoder, ConvNet) else encoder
