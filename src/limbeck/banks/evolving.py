"""Networks that are trained on the synthetic set between its steps: the bank of DC and DSA."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from limbeck.banks.random import RandomBank
from limbeck.encoders.base import Encoder, Weights, draw_uniform
from limbeck.errors import NumericsError, ResumeError
from limbeck.modalities import Modality
from limbeck.rng import Name, key, stream
from limbeck.training import Recipe, Student, Tensors, train

__all__ = ["EvolvingBank", "Networks"]

Networks = dict[str, Weights]
"""By modality the weights of a branch, as a student of that modality alone names them."""


class EvolvingBank:
    """A branch (encoder and linear head) a modality. Branches share nothing, so they are trained one by one and a set
    of several modalities goes through what each alone goes through.

    Args:
        encoders, modalities: by name.
        classes: C.
        seed, shared_seeds: as :class:`RandomBank` takes them; the encoders of a step are the same.
    """

    def __init__(
        self,
        encoders: Mapping[str, Encoder],
        modalities: Mapping[str, Modality],
        classes: int,
        seed: int,
        *,
        shared_seeds: bool = False,
    ) -> None:
        self.encoders, self.classes = dict(encoders), classes
        self.random = RandomBank(encoders, seed, shared_seeds=shared_seeds)
        self.students = {
            name: Student({name: encoder}, {name: modalities[name]}, classes) for name, encoder in encoders.items()
        }

    def names(self, step: int) -> tuple[int, tuple[Name, ...]]:
        """(seed, stream name) that a step's draws hang on."""
        return self.random.names(step)

    def fresh(self, step: int, device: torch.device) -> Networks:
        """New networks, a function of the step. Heads too are PyTorch's default draws: those of a student, N(0, 1e-4),
        would hide the encoder from the gradient."""
        seed, name = self.names(step)
        networks: Networks = {}
        for modality, weights in self.random.weights(step, device).items():
            width = self.encoders[modality].embedding
            generator = stream(seed, *name, "head", modality)
            networks[modality] = {
                **{f"{modality}/{k}": w for k, w in weights.items()},
                f"{modality}/head.weight": draw_uniform((self.classes, width), width, generator, device),
                f"{modality}/head.bias": draw_uniform((self.classes,), width, generator, device),
            }
        return networks

    def trained(
        self, networks: Networks, items: Mapping[str, Tensor], labels: Tensor, recipe: Recipe, step: int
    ) -> Networks:
        """The networks after training on labelled items; those given are left as they are.

        Args:
            items: by modality (N, \\*shape), decoded.
            labels: (N,) int64.
            step: whose draws order and augment the batches.

        Raises:
            NumericsError: a loss or weight is not finite.
        """
        seed, name = self.names(step)
        found: Networks = {}
        for modality, weights in networks.items():
            x = items[modality]
            try:
                found[modality] = train(
                    self.students[modality],
                    Tensors({modality: x}, labels, x.device),
                    recipe,
                    [key(seed, *name, "inner")],
                    device=x.device,
                    initial=[weights],
                )[0]
            except NumericsError as error:
                raise NumericsError(
                    f"the {modality} network that is trained on the set has a loss or weight that is not finite",
                    where=f"step {step}, {error.where}",
                    hint="The set is as it was. Start a new run with a lower --method.inner-rate or --lr.",
                ) from error
        return found

    def restored(self, state: Mapping[str, Tensor], device: torch.device) -> Networks:
        """Networks out of their weights by name. Raises ResumeError where they are not this bank's."""
        networks: Networks = {}
        for modality, expected in self.fresh(0, torch.device("cpu")).items():
            for name, weight in expected.items():
                if name not in state or state[name].shape != weight.shape:
                    raise ResumeError(f"the checkpoint's {name} does not fit the network", hint="Start a new run.")
            networks[modality] = {name: state[name].to(device) for name in expected}
        if odd := set(state).difference(*networks.values()):
            raise ResumeError(f"the checkpoint holds {', '.join(sorted(odd))}, of no network here")
        return networks
