"""The page a run leaves behind: what was distilled, how it sounds, how it scores, how to load it; and a study's."""

from limbeck.report.page import write_report
from limbeck.report.study import write_study_report

__all__ = ["write_report", "write_study_report"]
