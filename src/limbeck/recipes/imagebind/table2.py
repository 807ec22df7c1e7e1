"""ImageBindDC table 2: every method through a frozen ImageBind, accuracy (%) of sound and picture together."""

from __future__ import annotations

from collections.abc import Iterator

from limbeck.recipes.cell import Cell, Recipe, grid
from limbeck.recipes.published import fused
from limbeck.recipes.published_imagebind import as_released, cell, whole

PUBLISHED = """
dataset per_class | random     herding    forgetting grand      dc  dsa        mtt dm         avdd       imagebinddc
vggs10k 1         | 25.24±3.25 27.14±1.58 29.34±1.49 25.33±2.03 OOM 28.87±1.50 OOM 31.55±1.34 36.10±1.67 37.25±1.62
vggs10k 10        | 40.86±1.32 43.15±1.28 44.67±1.07 41.06±1.13 OOM 44.73±1.36 OOM 45.46±1.27 46.61±0.59 48.89±0.78
vggs10k 20        | 50.18±1.66 51.92±0.98 52.98±0.79 50.77±1.09 OOM 52.72±1.37 OOM 53.17±0.89 53.87±1.14 56.11±0.98
ave     1         | 45.11±3.17 45.77±1.75 43.23±1.88 40.62±2.08 OOM 44.46±2.16 OOM 65.35±2.06 67.32±1.55 70.10±1.24
ave     10        | 64.56±1.88 66.76±1.24 65.25±1.45 62.06±1.19 OOM 58.49±0.55 OOM 69.49±0.69 71.33±0.35 73.67±0.31
ave     20        | 67.01±1.96 69.90±0.47 68.75±0.64 65.66±0.76 OOM 71.49±0.51 OOM 70.50±0.29 72.81±0.24 75.34±0.27
"""

WHOLE = """
dataset | whole
vggs10k | 60.57±0.05
ave     | 76.93±0.14
"""

RATE = 0.1
"""Of the working code's scripts with ImageBind."""


def cells() -> Iterator[Cell]:
    for (dataset, per_class), row in grid(PUBLISHED):
        for method, figure in row.items():
            found = cell(f"{dataset}-imagebind/{per_class}/{method}", fused(figure), method, int(per_class))
            yield found
            if method == "imagebinddc":
                yield as_released(found, RATE)
    for (dataset,), row in grid(WHOLE):
        yield whole(f"{dataset}-imagebind/whole", fused(row["whole"]))


RECIPE = Recipe(
    name="imagebind.table2",
    title="every method through a frozen ImageBind",
    cells=tuple(cells()),
    notes=(
        "The paper says that students are trained from scratch; the working code trains two linear heads on a frozen, "
        "pretrained ImageBind, which 70 % from 28 items fits. So do ours.",
        "On VGGS-10K the whole data give less than a ConvNet from scratch (60.57 here, 68.24 in table 1): the working "
        "code feeds ImageBind spectrograms and pictures that are not in its normalisation. Ours are.",
        "Table 5 has 60.51 and 69.26 for DM on AVE at 1 and 10 per class, where this table has 65.35 and 69.49.",
        "By which networks herding, forgetting and GraNd choose is not stated; ours are ConvNets trained on the set.",
        "The weights are licensed for non-commercial use only and are the user's to supply.",
    ),
)
