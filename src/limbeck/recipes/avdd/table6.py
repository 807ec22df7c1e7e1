"""AVDD table 6: retrieval of items of the same class, 20 per class: R@1, R@5 (%) and MedR (rank, lower is better)."""

from __future__ import annotations

from collections.abc import Iterator

from limbeck.recipes.cell import Cell, Recipe, Scoring, grid
from limbeck.recipes.published import cell, whole

SOUND_TO_PICTURE = """
dataset  method | R@1    R@5    MedR
vggs10k  random | 13.33  52.00  5.83
vggs10k  dm     | 8.66   47.33  6.66
vggs10k  avdd   | 19.33  59.33  3.66
vggs10k  whole  | 44.00  74.00  2.00
vggsound random | ?      3.26   123.0
vggsound dm     | 0.82   3.88   113.0
vggsound avdd   | 0.90   4.1    110
vggsound whole  | 1.79   7.81   70.33
music21  random | 15.55  34.92  9.33
music21  dm     | 16.82  37.14  9.00
music21  avdd   | 31.74  53.01  5.00
music21  whole  | 57.14  78.41  1.00
ave      random | 7.62   30.23  12.33
ave      dm     | 6.90   32.14  11.16
ave      avdd   | 13.09  35.00  9.00
ave      whole  | 27.61  51.66  4.66
"""

PICTURE_TO_SOUND = """
dataset  method | R@1    R@5    MedR
vggs10k  random | 10.66  49.33  6.00
vggs10k  dm     | 11.33  44.00  6.66
vggs10k  avdd   | 27.33  59.33  3.83
vggs10k  whole  | 45.33  76.00  1.83
vggsound random | 0.79   ?      160.66
vggsound dm     | 0.71   4.22   151.66
vggsound avdd   | 0.82   4.16   143.00
vggsound whole  | 2.11   8.59   ?
music21  random | 10.16  24.12  14.00
music21  dm     | 7.30   33.65  11.33
music21  avdd   | 27.30  42.54  7.66
music21  whole  | 43.49  54.91  3.66
ave      random | 9.04   26.66  16.00
ave      dm     | 10.95  29.52  14.33
ave      avdd   | 6.43   34.52  10.16
ave      whole  | 17.14  44.76  7.16
"""

RETRIEVAL = Scoring(protocol="retrieval-class")


def cells() -> Iterator[Cell]:
    for ((dataset, method), one), (_, other) in zip(grid(SOUND_TO_PICTURE), grid(PICTURE_TO_SOUND), strict=True):
        figures = {f"audio->image {metric}": figure for metric, figure in one.items()}
        figures |= {f"image->audio {metric}": figure for metric, figure in other.items()}
        if method == "whole":
            yield whole(f"{dataset}/whole", figures, RETRIEVAL)
        else:
            yield cell(f"{dataset}/20/{method}", figures, method, 20, scoring=RETRIEVAL)


RECIPE = Recipe(
    name="avdd.table6",
    title="retrieval, sound to picture and back, 20 per class",
    cells=tuple(cells()),
    notes=("The paper's retrieval code was never released; what it leaves open is chosen in docs/audio_visual.md.",),
)
