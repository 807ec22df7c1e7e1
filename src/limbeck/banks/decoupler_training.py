"""Training the decouplers of one member of a bank: T at once, on features that are computed once.

The encoders are frozen, so a decoupler sees nothing but their outputs. Every random number hangs on the decoupler's own
(m, t), so it is the same, to rounding, in whichever company it is trained.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from limbeck.banks.projection import Projection, affine
from limbeck.encoders.base import Encoder, Weights, draw_uniform
from limbeck.errors import ConfigError, NumericsError
from limbeck.losses.decoupling import Decoupling
from limbeck.losses.prototypes import Prototypes
from limbeck.rng import stream
from limbeck.training import Rows, chunks

__all__ = ["DECOUPLER_RECIPE", "DecouplerRecipe", "features", "train_decouplers"]

CHUNK = 256
"""Items an encoder takes at a time."""
FUSED = ""
"""The head on all modalities: a name that no modality has."""
ROOM = 2
"""Free bytes a GPU must have for each byte of features that is kept there."""


@dataclass(frozen=True)
class DecouplerRecipe:
    """How decouplers are trained; what the paper leaves open is chosen (docs/audio_visual.md).

    Args:
        epochs, batch, rate: 10 epochs of Adam at 1e-3 in batches of 128 [choice, measured].
        ema: prototypes as exponential means with this factor, in place of the paper's cumulative ones.
        losses: L_de, with its weights.
    """

    epochs: int = 10
    batch: int = 128
    rate: float = 1e-3
    ema: float | None = None
    losses: Decoupling = field(default_factory=Decoupling)

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1 or not self.rate > 0 or not (self.ema is None or 0 <= self.ema < 1):
            raise ConfigError(
                f"decouplers trained for {self.epochs} epochs of batches of {self.batch} at rate {self.rate}, "
                f"prototypes with ema {self.ema}",
                hint="Epochs and batch are 1 or more, a rate is above 0, ema is from 0 up to 1.",
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return dataclasses.asdict(self)


DECOUPLER_RECIPE = DecouplerRecipe()
"""DAVDD's."""


@torch.no_grad()
def features(
    encoders: Mapping[str, Encoder], weights: Mapping[str, Weights], data: Rows, device: str | torch.device
) -> dict[str, Tensor]:
    """Embeddings of all items without augmentation, by modality (N, D) in half precision; on a GPU where they fit.

    Raises NumericsError where one is not finite.
    """
    target, kept = torch.device(device), torch.device("cpu")
    width = sum(encoder.embedding for encoder in encoders.values())
    if target.type == "cuda" and torch.cuda.mem_get_info(target)[0] > ROOM * 2 * width * len(data):
        kept = target
    found = {
        name: torch.empty(len(data), encoder.embedding, dtype=torch.float16, device=kept)
        for name, encoder in encoders.items()
    }
    for indices in chunks(range(len(data)), CHUNK):
        batch = data.batch(torch.tensor(indices))
        for name, encoder in encoders.items():
            found[name][indices[0] : indices[-1] + 1] = encoder.embed(weights[name], batch[name])
    for name, z in found.items():
        if not bool(z.isfinite().all()):
            raise NumericsError(f"features of {name} are not finite in half precision", where=name)
    return found


def train_decouplers(
    cached: Mapping[str, Tensor],
    labels: Tensor,
    classes: int,
    projection: Projection,
    recipe: DecouplerRecipe,
    *,
    member: int,
    which: Sequence[int],
    device: str | torch.device = "cpu",
    report: Callable[[int], None] | None = None,
) -> list[dict[str, Weights]]:
    """Train the decouplers ``which`` of a member together.

    Each starts from weights of its own and sees the items in an order of its own: nothing else tells the T decouplers
    of a member apart [choice].

    Args:
        cached: by modality (N, D), the member's features.
        labels: (N,) on the CPU.
        projection: the maps, one a modality and decoupler.
        report: called after each step with the number of steps done.

    Returns:
        by decoupler and modality the projection's weights in half precision, on the CPU; heads are dropped.

    Raises:
        NumericsError: a loss or weight is not finite, or not in half precision; names member and decoupler.
    """
    together = _Together(cached, labels, classes, projection, recipe, member, list(which), torch.device(device))
    for epoch in range(recipe.epochs):
        together.epoch(epoch, report)
    return together.result()


class _Together:
    """T decouplers: weights, gradients and moments have a first dimension T."""

    def __init__(
        self,
        cached: Mapping[str, Tensor],
        labels: Tensor,
        classes: int,
        projection: Projection,
        recipe: DecouplerRecipe,
        member: int,
        which: list[int],
        device: torch.device,
    ) -> None:
        self.cached, self.labels, self.classes, self.recipe = dict(cached), labels, classes, recipe
        self.projection, self.member, self.which, self.device = projection, member, which, device
        drawn = [self._init(t) for t in which]
        self.weights = {name: torch.stack([w[name] for w in drawn]).to(device).requires_grad_() for name in drawn[0]}
        self.adam = torch.optim.Adam(self.weights.values(), lr=recipe.rate, fused=True)
        nothing = {name: torch.empty(len(which), 0, self.projection.width, device=device) for name in cached}
        self.prototypes = Prototypes.none(nothing, classes)
        self.done = 0

    def _init(self, t: int) -> Weights:
        """Maps and heads of decoupler t, on the CPU."""
        weights: Weights = {}
        widths = dict.fromkeys(self.cached, self.projection.width)
        for name in self.cached:
            own = self.projection.init(stream(t, "decoupler", self.member, name))
            weights |= {f"{name}/{key}": w for key, w in own.items()}
        for name, width in {**widths, FUSED: sum(widths.values())}.items():
            generator = stream(t, "decoupler", self.member, "head", name)
            weights[f"head:{name}/weight"] = draw_uniform((self.classes, width), width, generator, "cpu")
            weights[f"head:{name}/bias"] = draw_uniform((self.classes,), width, generator, "cpu")
        return weights

    def epoch(self, number: int, report: Callable[[int], None] | None) -> None:
        """All items once. One look at its end: a value that is not finite stays so."""
        n = len(self.labels)
        orders = [torch.randperm(n, generator=stream(t, "decoupler", self.member, "order", number)) for t in self.which]
        total = torch.zeros(len(self.which), device=self.device)
        for indices in torch.stack(orders).split(self.recipe.batch, dim=1):
            total += self._step(indices)
            self.done += 1
            if report is not None:
                report(self.done)
        fine = total.isfinite()
        for weight in self.weights.values():
            fine &= weight.detach().flatten(1).isfinite().all(1)
        if not bool(fine.all()):
            self._diverged(int((~fine).int().argmax()), f"epoch {number}")

    def _step(self, indices: Tensor) -> Tensor:
        """One update of each on its own batch, (T, n) positions; the losses, (T,)."""
        labels = self.labels[indices].to(self.device)
        z = {}
        for name, cached in self.cached.items():
            rows = cached[indices.flatten().to(cached.device)].to(self.device).float()
            z[name] = self.projection(self._branch(f"{name}/"), rows.unflatten(0, indices.shape))
        logits = {name: affine(self.weights, f"head:{name}/", x) for name, x in z.items()}
        fused = affine(self.weights, f"head:{FUSED}/", torch.cat(list(z.values()), -1))
        losses = torch.stack(list(self.recipe.losses(z, logits, fused, labels, self.prototypes).values())).sum(0)
        self.adam.zero_grad()
        losses.sum().backward()
        self.adam.step()
        self.prototypes = self.prototypes.updated(z, labels, ema=self.recipe.ema)  # after the step (appendix A)
        return losses.detach()

    def result(self) -> list[dict[str, Weights]]:
        """As :func:`train_decouplers` returns it."""
        found: list[dict[str, Weights]] = []
        for place in range(len(self.which)):
            maps = {}
            for name in self.cached:
                maps[name] = {key: w[place].detach().half().cpu() for key, w in self._branch(f"{name}/").items()}
                if not all(bool(w.isfinite().all()) for w in maps[name].values()):
                    self._diverged(place, "half precision")
            found.append(maps)
        return found

    def _branch(self, prefix: str) -> Weights:
        return {key.removeprefix(prefix): w for key, w in self.weights.items() if key.startswith(prefix)}

    def _diverged(self, place: int, where: str) -> None:
        raise NumericsError(
            f"decoupler {self.which[place]} of member {self.member} has a loss or weight that is not finite",
            where=where,
            hint="Use a smaller rate.",
        )
