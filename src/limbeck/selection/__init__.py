"""Which real items: a coreset by itself, an initialiser for everything else."""

from limbeck.selection.evidence import Evidence
from limbeck.selection.select import SELECTIONS, check_selection, select

__all__ = ["SELECTIONS", "Evidence", "check_selection", "select"]
