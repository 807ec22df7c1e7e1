"""Pure functions of features, by what they compare.

| paper | loss | where |
|---|---|---|
| DM; AVDD | class means: base, ICM, CGM; SCMM, RSCMM | :mod:`.means` |
| DAVDD | a step: private and common class means (``methods/davdd.py`` weighs them) | :mod:`.means` |
| DAVDD | a decoupler's training | :mod:`.decoupling`, of :mod:`.contrastive` and :mod:`.prototypes` |
| ImageBindDC, NCFM | characteristic functions (CFD) of classes | :mod:`.characteristic` |
| ImageBindDC | its three terms in every reading; the kernel it is set against | :mod:`.unified`, :mod:`.kernel` |
| DC, DSA | gradients, layer by layer | :mod:`.gradients` |
| MTT | trajectories | :mod:`.trajectories` |
"""
