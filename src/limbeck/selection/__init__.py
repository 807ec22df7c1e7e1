"""Which real items: a coreset by itself, an initialiser for everything else."""

from limbeck.selection.select import SELECTIONS, select

__all__ = ["SELECTIONS", "select"]
