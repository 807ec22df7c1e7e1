"""MDM, image-text distillation by matching under merged models: one file a table of its paper and poster."""
