"""MDM table 1: retrieval on the test split, NFNet-L0 and frozen BERT, %. Coresets have means alone in our copy."""

from __future__ import annotations

from collections.abc import Iterator

from limbeck.recipes.cell import Cell, Recipe, grid
from limbeck.recipes.published_pairs import AS_PUBLISHED, cell, whole

PUBLISHED = """
dataset    pairs  method       | IR@1  IR@5  IR@10  TR@1  TR@5  TR@10  Mean
flickr8k   100    random       | .     .     .      .     .     .      6.6
flickr8k   100    herding      | .     .     .      .     .     .      6.5
flickr8k   100    kcenter      | .     .     .      .     .     .      6.8
flickr8k   100    forgetting   | .     .     .      .     .     .      4.5
flickr8k   100    mtt_vl       | 0.8   4.0   7.0    1.5   6.4   10.8   5.1
flickr8k   100    tesla_wbce   | 1.2   4.7   7.9    4.8   14.7  22.9   9.4
flickr8k   100    lors         | 4.9   18.0  29.0   7.0   22.8  34.8   19.4
flickr8k   100    mdm          | 6.0   20.8  32.4   7.9   26.5  38.1   21.9
flickr8k   200    random       | .     .     .      .     .     .      9.8
flickr8k   200    herding      | .     .     .      .     .     .      9.9
flickr8k   200    kcenter      | .     .     .      .     .     .      10.8
flickr8k   200    forgetting   | .     .     .      .     .     .      8.0
flickr8k   200    mtt_vl       | 1.8   7.0   12.2   2.8   10.3  17.3   8.6
flickr8k   200    tesla_wbce   | 1.2   4.7   8.4    6.6   19.5  29.5   11.7
flickr8k   200    lors         | 6.3   20.5  31.6   9.5   26.3  38.2   22.1
flickr8k   200    mdm          | 7.1   23.2  35.1   9.9   29.0  41.6   24.3
flickr8k   500    random       | .     .     .      .     .     .      15.3
flickr8k   500    herding      | .     .     .      .     .     .      14.1
flickr8k   500    kcenter      | .     .     .      .     .     .      15.4
flickr8k   500    forgetting   | .     .     .      .     .     .      17.4
flickr8k   500    mtt_vl       | 3.8   13.3  21.2   5.7   18.6  27.7   15.1
flickr8k   500    tesla_wbce   | 2.5   8.8   14.1   6.9   19.6  29.0   13.5
flickr8k   500    lors         | 6.9   22.0  33.1   10.9  31.0  45.8   25.0
flickr8k   500    mdm          | 7.4   25.0  37.1   11.2  32.4  44.2   26.2
flickr30k  100    random       | .     .     .      .     .     .      5.7
flickr30k  100    herding      | .     .     .      .     .     .      5.1
flickr30k  100    kcenter      | .     .     .      .     .     .      6.8
flickr30k  100    forgetting   | .     .     .      .     .     .      4.4
flickr30k  100    mtt_vl       | 4.7   15.7  24.6   9.9   28.3  39.1   20.4
flickr30k  100    tesla_wbce   | 0.5   2.3   4.7    5.5   19.5  28.9   10.2
flickr30k  100    lors         | 8.3   24.1  35.1   11.8  35.8  49.2   27.4
flickr30k  100    mdm          | 8.1   24.7  36.2   11.5  32.6  45.0   26.4
flickr30k  200    random       | .     .     .      .     .     .      8.6
flickr30k  200    herding      | .     .     .      .     .     .      7.6
flickr30k  200    kcenter      | .     .     .      .     .     .      10.3
flickr30k  200    forgetting   | .     .     .      .     .     .      7.6
flickr30k  200    mtt_vl       | 4.6   16.0  25.5   10.2  28.7  41.9   21.2
flickr30k  200    tesla_wbce   | 0.2   1.3   2.5    2.8   10.4  17.4   5.8
flickr30k  200    lors         | 8.6   25.3  36.6   14.5  38.7  53.4   29.5
flickr30k  200    mdm          | 9.1   26.7  39.1   13.0  33.7  47.4   28.2
flickr30k  500    random       | .     .     .      .     .     .      14.1
flickr30k  500    herding      | .     .     .      .     .     .      12.1
flickr30k  500    kcenter      | .     .     .      .     .     .      14.9
flickr30k  500    forgetting   | .     .     .      .     .     .      15.2
flickr30k  500    mtt_vl       | 6.6   20.2  30.0   13.3  32.8  46.8   25.0
flickr30k  500    tesla_wbce   | 1.1   7.3   12.6   5.1   15.3  23.8   10.9
flickr30k  500    lors         | 10.0  28.9  41.6   15.5  29.8  53.7   31.6
flickr30k  500    mdm          | 10.0  29.3  42.0   13.7  37.0  51.5   30.6
coco       100    random       | .     .     .      .     .     .      2.4
coco       100    herding      | .     .     .      .     .     .      2.4
coco       100    kcenter      | .     .     .      .     .     .      3.2
coco       100    forgetting   | .     .     .      .     .     .      1.2
coco       100    mtt_vl       | 1.3   5.4   9.5    2.5   10.0  15.7   7.4
coco       100    tesla_wbce   | 0.3   1.0   1.8    2.0   7.7   13.5   4.4
coco       100    lors         | 1.8   7.1   12.2   3.3   12.2  19.6   9.4
coco       100    mdm          | 1.9   7.6   13.2   3.6   13.7  21.6   10.3
coco       200    random       | .     .     .      .     .     .      4.0
coco       200    herding      | .     .     .      .     .     .      3.6
coco       200    kcenter      | .     .     .      .     .     .      5.1
coco       200    forgetting   | .     .     .      .     .     .      2.3
coco       200    mtt_vl       | 1.7   6.5   12.3   3.3   11.9  19.4   9.2
coco       200    tesla_wbce   | 0.1   0.2   0.5    0.7   3.1   5.3    1.7
coco       200    lors         | 2.4   9.3   15.5   4.3   14.2  22.6   11.4
coco       200    mdm          | 2.9   11.1  18.4   4.9   16.2  25.3   13.1
coco       500    random       | .     .     .      .     .     .      7.0
coco       500    herding      | .     .     .      .     .     .      6.4
coco       500    kcenter      | .     .     .      .     .     .      7.7
coco       500    forgetting   | .     .     .      .     .     .      5.6
coco       500    mtt_vl       | 2.5   8.9   15.8   5.0   17.2  26.0   12.6
coco       500    tesla_wbce   | 0.8   3.6   6.7    1.7   5.9   10.2   4.8
coco       500    lors         | 2.8   9.9   16.5   5.3   18.3  27.9   13.5
coco       500    mdm          | 3.7   13.6  22.2   5.6   18.4  28.2   15.3
"""

WHOLE = """
dataset   | IR@1  IR@5  IR@10  TR@1  TR@5  TR@10  Mean
flickr8k  | 25.5  56.1  69.2   32.7  64.5  74.5   53.8
flickr30k | 28.1  57.9  70.3   34.9  65.4  77.6   55.7
coco      | 17.3  42.8  56.7   20.4  47.7  62.1   41.2
"""

NOTES = {
    ("flickr30k", "500", "lors"): "TR@5 is printed as 29.8 everywhere; the mean of 31.6 needs 39.8",
    ("flickr8k", "100", "tesla_wbce"): "the first preprint has 0.8 3.8 7.0 4.7 16.1 25.9, mean 9.7",
}


def cells() -> Iterator[Cell]:
    for (dataset, pairs, method), row in grid(PUBLISHED):
        name, note = f"{dataset}/{pairs}/{method}", NOTES.get((dataset, pairs, method), "")
        yield cell(name, row, method, int(pairs), note=note)
        if method in AS_PUBLISHED:
            yield cell(f"{name}/as-published", row, method, int(pairs), scoring=AS_PUBLISHED[method], note=note)
    for (dataset,), row in grid(WHOLE):
        yield whole(f"{dataset}/whole", row)


RECIPE = Recipe(
    name="mdm.table1",
    title="image-text retrieval",
    cells=tuple(cells()),
    sets=1,
    notes=(
        "The printed figures are of the step that was best on the test split; ours of the one best on the validation "
        "split.",
        "MTT-VL and LoRS on Flickr30k and COCO are printed as their own papers scored them, with the set's learnt "
        "rates (and LoRS's similarity and loss); cells `as-published` score the same sets so.",
        "LoRS holds one pair less: its similarity takes that pair's bytes.",
        "The deviation over five students is 0.1 to 0.5 on the mean; our copy has none by cell.",
    ),
)
