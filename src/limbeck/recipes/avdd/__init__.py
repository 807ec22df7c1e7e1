"""Kushwaha et al., Audio-Visual Dataset Distillation, TMLR 2024: one file a table."""
