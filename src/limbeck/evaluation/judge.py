"""How good a set of pairs is before it is finished: students trained on it, asked for the pairs of a split.

A run that chooses its step by the validation split makes one judge and calls it every so many steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from limbeck.data.pairs import Pairs
from limbeck.encoders.tower import TwoTower
from limbeck.errors import ConfigError
from limbeck.evaluation.gallery import Gallery
from limbeck.evaluation.linear_towers import with_linear_heads
from limbeck.evaluation.pair_trial import pair_rules, require_towers, two_modalities
from limbeck.rng import key
from limbeck.training.pair_data import Lifted, SyntheticPairs
from limbeck.training.pairs import PairRecipe, train_pairs

if TYPE_CHECKING:
    from limbeck.synthetic import SyntheticSet

__all__ = ["Judge"]


class Judge:
    """Call it with a set: the mean scores by metric, such as "IR@1" and "Mean", of students trained on it.

    What is the same for all sets is prepared once: what frozen parts make of the split's items, and its captions.

    Args:
        towers: of the run, on ``device``; untrained. Where the protocol has linear heads, they take the place of those.
        pairs: of the split, ``Pairs.of(store, "validation", modalities=..., captions=...)``.
        protocol: one by pairs that suits the towers.
        seeds: of the students; those that score a finished set are others, whatever their seeds.

    Raises:
        ConfigError: no protocol by pairs; one that trains a tower that stands still, or the other way round; one that
            trains on real pairs.
    """

    def __init__(
        self,
        towers: TwoTower,
        pairs: Pairs,
        *,
        protocol: str = "retrieval-mdm",
        seeds: Sequence[int] = (0,),
        device: str | torch.device = "cpu",
    ) -> None:
        rules = pair_rules(protocol)
        require_towers(rules, towers)
        if not seeds:
            raise ConfigError("a judge needs at least one seed")
        assert isinstance(rules.recipe, PairRecipe)
        if rules.recipe.replay:
            raise ConfigError(f"{protocol} trains on real pairs, too: no score of a set alone", where="--validate")
        if rules.linear is not None:
            towers = with_linear_heads(towers, rules.linear)
        self.towers, self.seeds, self.device = towers, tuple(seeds), device
        self.recipe = rules.recipe
        self.gallery = Gallery(pairs, towers, device)

    def __call__(self, synthetic: SyntheticSet) -> dict[str, float]:
        """Percent by metric. The set is left as it is. Raises NumericsError where a student's weights leave the finite
        numbers."""
        modalities = self.gallery.pairs.modalities
        data: SyntheticPairs | Lifted = SyntheticPairs(two_modalities(synthetic, modalities), self.device)
        if self.recipe.augment == "none":
            data = Lifted(data, self.towers)
        found = [
            self.gallery.scores(train_pairs(self.towers, data, self.recipe, key(seed, "judge"), device=self.device))
            for seed in self.seeds
        ]
        return {metric: sum(scores[metric] for scores in found) / len(found) for metric in found[0]}
