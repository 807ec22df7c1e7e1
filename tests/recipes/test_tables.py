"""The tables hold what the papers print, and every cell can be run as it stands."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import limbeck.recipes
from limbeck.augment import DSA
from limbeck.config import build
from limbeck.encoders import PUBLISHED_WIDTH
from limbeck.encoders.frozen import FROZEN
from limbeck.encoders.towers import TOWERS
from limbeck.engine.settings import RunSettings
from limbeck.errors import ConfigError
from limbeck.evaluation.protocols import PROTOCOLS
from limbeck.evaluation.students import STUDENTS
from limbeck.methods import methods
from limbeck.recipes import recipe, recipes
from limbeck.recipes.cell import grid, number
from limbeck.recipes.cost import cell_cost
from limbeck.recipes.datasets import DATASETS, differences
from limbeck.recipes.scale import SCALES
from limbeck.selection import SELECTIONS
from limbeck.synthetic import Budget
from limbeck.training import FUSIONS

CELLS = [pytest.param(r, c, id=f"{r.name}:{c.name}") for r in recipes().values() for c in r.cells]

# taken from the papers' tables by themselves, and not from the recipes: (sum of the figures, how many there are)
SUMS = {
    "avdd.table1": {"audio": (465.56, 13), "image": (364.14, 13), "fused": (524.33, 13)},
    "avdd.table2": {"fused": (359.22, 10)},
    "avdd.table3": {"fused": (2106.56, 68)},
    "avdd.table4": {"fused": (1053.31, 28)},
    "avdd.table5": {"fused": (442.74, 15)},
    "avdd.table6": {
        "audio->image R@1": (265.3, 15),
        "audio->image R@5": (604.22, 16),
        "audio->image MedR": (495.96, 16),
        "image->audio R@1": (230.89, 16),
        "image->audio R@5": (536.31, 15),
        "image->audio MedR": (557.94, 15),
    },
    "avdd.table7": {"fused": (250.66, 8)},
    "avdd.table8": {"fused": (155.18, 3)},
    "avdd.table11": {"fused": (443.71, 9)},
    "avdd.table12": {"fused": (88.84, 2)},
    "avdd.table13": {"fused": (494.65, 16)},
    "davdd.table1": {"fused": (834.3, 17)},
    "davdd.table2": {"fused": (204.2, 4)},
    "davdd.table4": {"fused": (613.8, 20)},
}


@pytest.mark.parametrize("name", SUMS)
def test_the_figures_add_up_to_the_papers(name):
    found: dict[str, list[float]] = {}
    for cell in recipe(name).cells:
        for metric, figure in cell.published.items():
            if figure.mean is not None:
                found.setdefault(metric, []).append(figure.mean)
    assert {m: (round(math.fsum(v), 2), len(v)) for m, v in found.items()} == SUMS[name]


# of the standard deviations, taken in the same way: (sum, how many there are)
SPREADS = {
    "avdd.table1": (68.36, 39),
    "avdd.table2": (16.77, 10),
    "avdd.table3": (77.02, 68),
    "avdd.table4": (41.26, 28),
    "avdd.table5": (36.15, 15),
    "avdd.table6": (209.31, 93),
    "avdd.table7": (16.25, 8),
    "avdd.table8": (5.83, 3),
    "avdd.table11": (16.76, 9),
    "avdd.table12": (2.31, 2),
    "avdd.table13": (27.85, 16),
    "davdd.table1": (21.4, 17),
    "davdd.table2": (5.7, 4),
    "davdd.table4": (45.8, 20),
}


@pytest.mark.parametrize("name", SPREADS)
def test_the_spreads_add_up_too(name):
    spreads = [f.std for c in recipe(name).cells for f in c.published.values() if f.std is not None]
    assert (round(math.fsum(spreads), 2), len(spreads)) == SPREADS[name]


@pytest.mark.parametrize(
    ("table", "cell", "metric", "mean", "std"),
    [
        ("avdd.table1", "vggs10k/10/random/av", "fused", 32.50, 2.03),
        ("avdd.table1", "vggs10k/20/mtt/a", "audio", 45.73, 1.03),
        ("avdd.table1", "vggs10k/whole/v", "image", 48.19, 0.54),
        ("avdd.table2", "vggs10k/10/attention", "fused", 10.11, 0.35),
        ("avdd.table3", "vggs10k/10/random", "fused", 32.01, 1.64),
        ("avdd.table3", "ave/10/avdd", "fused", 36.82, 0.88),
        ("avdd.table3", "vggsound/1/mtt", "fused", 1.55, 0.15),
        ("avdd.table3", "music21/whole", "fused", 85.93, 0.08),
        ("avdd.table4", "ave/10/herding+factor+icm+cgm", "fused", 35.43, 1.20),
        ("avdd.table4", "vggs10k/10/random+base", "fused", 43.85, 1.75),
        ("avdd.table5", "vggs10k/1/avdd/lenet", "fused", 32.37, 5.23),
        ("avdd.table6", "ave/20/avdd", "image->audio R@1", 6.43, 3.11),
        ("avdd.table6", "music21/whole", "audio->image MedR", 1.0, 0.0),
        ("avdd.table7", "vggs10k/10/base+scmm+rscmm", "fused", 24.38, 2.21),
        ("avdd.table8", "vggs10k/10/factor1", "fused", 45.66, 2.53),
        ("avdd.table11", "vggs10k/20/weight20", "fused", 58.04, 1.68),
        ("avdd.table12", "ave/20/pretrained", "fused", 48.71, 1.31),
        ("avdd.table13", "ave-10s/20/avdd", "fused", 44.98, 1.04),
        ("davdd.table1", "vggs10k/20/davdd", "fused", 59.1, 1.2),
        ("davdd.table2", "vggs10k/10/decoupler", "fused", 54.9, 1.1),
        ("davdd.table4", "vggs10k/1/davdd/resnet18", "fused", 31.0, 1.6),
    ],
)
def test_figures_stand_in_their_cells(table, cell, metric, mean, std):
    (found,) = [c.published[metric] for c in recipe(table).cells if c.name == cell]
    assert (found.mean, found.std, found.missing) == (mean, std, "")


def test_what_has_no_figure_says_why():
    def missing(table, cell):
        return next(c for c in recipe(table).cells if c.name == cell).published["fused"].missing

    assert missing("avdd.table3", "vggs10k/20/dc") == "not in the paper"
    assert missing("avdd.table4", "vggs10k/10/herding+factor+icm+cgm") == "lost"
    assert missing("davdd.table1", "ave/20/davdd") == "lost"


@pytest.mark.parametrize(("found", "cell"), CELLS)
def test_a_cell_can_be_run_as_it_stands(found, cell, toy):
    """Names, types and ranges: everything but the data."""
    assert cell.dataset in DATASETS
    assert bool(cell.refused) == (cell_cost(found, cell).seconds == 0)
    if cell.refused:
        return
    scoring = cell.scoring
    if scoring is not None:
        assert scoring.protocol in PROTOCOLS
        assert scoring.student in (
            FROZEN
            if "frozen" in scoring.protocol or "linear" in scoring.protocol
            else TOWERS
            if cell.by_pairs
            else STUDENTS
        )
        assert scoring.fusion is None or scoring.fusion in FUSIONS
    if cell.method is None:
        return
    for scale in SCALES.values():
        run = build(RunSettings, scale.run_settings(cell, toy))
        method = methods()[cell.method]
        build(method, scale.method_settings(cell), where="method.").for_budget(Budget(run.per_class, run.pairs))
        assert (method.kind == "coreset") == ("steps" not in cell.settings)
        assert run.init in (*SELECTIONS, "noise")
        assert run.encoder in (*FROZEN, "random")
        assert set(run.fixed) <= set(run.modalities or ())
        if run.augment:
            DSA(tuple(run.augment.split("_")))


def test_names_are_files_and_no_cell_stands_twice():
    folder = Path(limbeck.recipes.__file__).parent
    for name, found in recipes().items():
        assert (folder / f"{name.replace('.', '/')}.py").is_file()
        names = [cell.name for cell in found.cells]
        assert len(set(names)) == len(names)
        assert found.drawing is None or name.partition(".")[2].startswith("figure")


def test_every_table_and_figure_of_the_papers_is_there():
    wanted = [f"avdd.table{n}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13)] + ["avdd.figure7", "avdd.figure10"]
    wanted += [f"davdd.table{n}" for n in (1, 2, 4)] + ["davdd.figure4", "davdd.figure5"]
    wanted += [f"mdm.table{n}" for n in (1, 2, 3)] + [f"mdm.ablation_{of}" for of in ("init", "loss", "model")]
    wanted += [f"imagebind.table{n}" for n in (1, 2, 3, 4, 5, 6)] + ["imagebind.figure3", "imagebind.figure4"]
    assert list(recipes()) == wanted


def test_published_settings_of_a_few_cells():
    def cell(table, name):
        return next(c for c in recipe(table).cells if c.name == name)

    avdd = cell("avdd.table3", "ave/10/avdd")
    assert avdd.settings | {"steps": 5000, "real_batch": 128, "lr": 0.2, "init": "herding"} == avdd.settings
    assert avdd.settings["factor"] == 2
    assert PUBLISHED_WIDTH == 6272  # the rate means something at this width only
    icm = cell("avdd.table4", "ave/10/herding+factor+icm")
    assert icm.method_settings == {"base": 0.0, "icm": 10.0, "cgm": 0.0}
    undistilled = cell("avdd.table4", "ave/10/herding+factor")
    assert (undistilled.method, undistilled.settings["factor"]) == ("herding", 2)
    bank = cell("davdd.table2", "vggs10k/10/bank")
    assert bank.method_settings == {"private": 80.0, "common": 0.0, "joint": 0.0}
    assert cell("avdd.table3", "vggs10k/10/dc").settings["steps"] == 10_000  # 1000 networks, ten steps each
    mtt = cell("avdd.table3", "ave/10/mtt").method_settings  # AVDD table 9: 10/20/1e3 and 2/1/1e5
    assert mtt == {"inner_steps": (10, 2), "inner_batch": (20, 1), "pixel_multiple": (1.0, 100.0)}


def test_a_places_cells():
    table = recipe("avdd.table3")
    assert [c.name for c in table.chosen(["ave/10/avdd"])] == ["ave/10/avdd"]
    assert len(table.chosen(["ave/1"])) == 7  # and not ave/10
    assert len(table.chosen(["ave", "music21/whole"])) == 23
    assert len(table.chosen([])) == 88
    with pytest.raises(ConfigError, match="ave/10/avdd"):
        table.chosen(["ave/10/avd"])


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(ConfigError, match=r"avdd\.table3"):
        recipe("avdd.table33")


def test_a_row_that_is_too_short_is_no_table():
    with pytest.raises(ConfigError, match="2 columns"):
        list(grid("row | a b\nx | 1"))
    assert number("12.5±0.25").std == 0.25


def test_a_store_that_is_another_set_is_told(toy):
    said = " ".join(differences(DATASETS["ave"], toy))
    assert "is not AVE: 4 classes and 80 training items, published 28 and 27,726" in said
    assert "3x16x16, published 3x224x224" in said
    assert "standardised" in said
