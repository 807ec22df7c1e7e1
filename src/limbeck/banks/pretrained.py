"""Frozen encoder pairs, each trained by itself on the real set (DAVDD, section "Pretrained bank")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import torch

from limbeck.banks.folder import read_tensors
from limbeck.banks.pairs import BANK_RECIPE, Pairs, member_file, weight_shapes
from limbeck.banks.turns import take_turns
from limbeck.encoders import Encoder, Kernels, Precision, Weights, encoders_for
from limbeck.errors import ConfigError
from limbeck.progress import Progress

if TYPE_CHECKING:
    from limbeck.data.store import PairedStore

__all__ = ["BANK_RECIPE", "PretrainedBank"]


class PretrainedBank:
    """M encoder pairs in a folder of the cache, made by :meth:`build`.

    | in the folder | what |
    |---|---|
    | ``about.json`` | what the weights depend on |
    | ``000.safetensors`` ... | float32 weights of a member's encoders, ``modality/name``, and its scores |
    | ``training/000/`` | the state of a member in training after its last epoch |
    | ``locks/`` | one a member |
    | ``decouplers/`` | see :mod:`limbeck.banks.decoupler` |
    """

    encoders: dict[str, Encoder]
    id: str
    """Hash of all the weights depend on, the number of members left out."""
    members: int
    path: Path
    were_missing: int
    """Members that were not there before it was built."""

    def __init__(
        self, path: Path, bank_id: str, encoders: Mapping[str, Encoder], members: int, were_missing: int = 0
    ) -> None:
        self.path, self.id, self.encoders, self.members = path, bank_id, dict(encoders), members
        self.were_missing = were_missing
        self._shapes = weight_shapes(self.encoders)
        self._kept: dict[tuple[int, str], dict[str, Weights]] = {}

    @classmethod
    def build(
        cls,
        store: PairedStore,
        *,
        members: int = 40,
        channels: int = 128,
        modalities: Sequence[str] | None = None,
        device: str | torch.device = "cpu",
        kernels: Kernels = "literal",
        precision: Precision = "fp32",
        at_once: int | None = None,
        progress: bool = False,
    ) -> Self:
        """The bank of a real set, trained as far as it is not there.

        A bank of 10 is the first 10 of a bank of 40. It can be stopped at any time and goes on from the last epoch;
        finished members are never touched again. Several processes may build the same bank: each takes the next
        missing member.

        Args:
            members: M (40 in DAVDD).
            modalities: which of the store's; all by default.
            kernels: of the encoders that are handed out. Threads and kernels of the training are those of whoever began
                the bank, so that its last bits are too.
            at_once: members trained in one pass: by default one on a CPU, as many as fit on a GPU.
            progress: show it on standard error.

        Raises:
            ConfigError: unknown modality, no member. DataError: no labels. NumericsError: a member diverges; names it.
        """
        if members < 1:
            raise ConfigError(f"a bank of {members} members", where="members", hint="It has 1 or more.")
        pairs = Pairs.of(store, channels, modalities, device, kernels, precision)
        done = sum(not pairs.missing(m) for m in range(members))
        with Progress("bank", members * pairs.batches, done=done * pairs.batches, shown=progress) as bar:
            together = at_once or pairs.fitting(members)
            take_turns(
                members,
                folder=pairs.folder / "locks",
                missing=pairs.missing,
                work=lambda group: pairs.train(group, members, together, bar),
                at_once=together,
            )
        encoders = encoders_for(pairs.student.modalities, channels=channels, kernels=kernels, precision=precision)
        return cls(pairs.folder, pairs.id, encoders, members, members - done)

    def weights(self, member: int, device: str | torch.device = "cpu") -> dict[str, Weights]:
        """The encoders' weights by modality; kept on the device after the first use.

        Raises ConfigError where there is no such member, FormatError where its file is damaged.
        """
        kept = self._kept.get((member, str(device)))
        if kept is None:
            tensors, _ = read_tensors(self.file(member), self._shapes, torch.float32)
            kept = {name: {} for name in self.encoders}
            for full, tensor in tensors.items():
                modality, _, name = full.partition("/")
                kept[modality][name] = tensor.to(device)
            self._kept[member, str(device)] = kept
        return kept

    def scores(self, member: int) -> dict[str, float]:
        """Accuracy on the validation split by modality, in percent; empty where the set has no labelled one."""
        _, about = read_tensors(self.file(member), self._shapes, torch.float32)
        return dict(about["scores"])

    def file(self, member: int) -> Path:
        """Where a member is kept."""
        if not 0 <= member < self.members:
            raise ConfigError(f"no member {member}", where=self.path, hint=f"The bank has {self.members}.")
        return member_file(self.path, member)
