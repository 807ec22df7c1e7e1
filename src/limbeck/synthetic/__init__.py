"""What the result is."""

from limbeck.synthetic.budget import Budget
from limbeck.synthetic.set import SyntheticSet

__all__ = ["Budget", "SyntheticSet"]
