"""The page a run leaves behind: what was distilled, how it sounds, how it scores, how to load it."""

from limbeck.report.page import write_report

__all__ = ["write_report"]
