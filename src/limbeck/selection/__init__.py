"""Which real items: a coreset by itself, an initialiser for everything else."""

from limbeck.selection.evidence import Evidence, PairEvidence
from limbeck.selection.select import SELECTIONS, check_selection, select, select_pairs

__all__ = ["SELECTIONS", "Evidence", "PairEvidence", "check_selection", "select", "select_pairs"]
