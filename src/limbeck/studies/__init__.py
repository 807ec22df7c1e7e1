"""Methods x budgets x seeds from one file, on one machine or many, killed and resumed, to one page."""

from limbeck.studies.run import study

__all__ = ["study"]
