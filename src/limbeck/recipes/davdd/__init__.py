"""Li et al., Decoupled Audio-Visual Dataset Distillation, arXiv 2511.17890: one file a table."""
