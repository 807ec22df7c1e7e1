"""Pure functions of features, by what they compare.

| paper | loss | where |
|---|---|---|
| DM; AVDD | class means: base, ICM, CGM; SCMM, RSCMM | :mod:`.means` |
| DAVDD | a step: private and common class means (``methods/davdd.py`` weighs them) | :mod:`.means` |
| DAVDD | a decoupler's training | :mod:`.decoupling`, of :mod:`.contrastive` and :mod:`.prototypes` |
| DC, DSA | gradients, layer by layer | :mod:`.gradients` |
| MTT | trajectories | :mod:`.trajectories` |
"""
