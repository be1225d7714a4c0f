"""Bagging: the sites' own trees in one forest, averaged or as Flower adds them."""

from dataclasses import replace

import numpy as np
import pytest
import xgboost

from common.boosting.bagging import bagged, site_trees
from common.boosting.bins import BinEdges
from common.boosting.forest import Forest
from common.boosting.gradients import class_margins
from common.boosting.grower import Boosting
from common.boosting.site import BoostingSite
from common.boosting.splits import Rules
from common.boosting.xgboost_json import save_xgboost
from common.errors import ConfigError
from tests.boosting_cells import QUICK, accuracy, assert_same, cells, forest_of

EXPRESSION, LABELS = cells(n_cells=600)
EDGES = BinEdges.alike(12)
ONE = replace(QUICK, rounds=1)
START = Forest.empty(class_margins(np.bincount(LABELS[:450])), 12, 3)


def sites(*rows):
    codes = EDGES.bin_cells(EXPRESSION)
    return [BoostingSite(codes[r], LABELS[r], EDGES) for r in rows]


def test_one_site_alone_grows_the_pooled_forest():
    [site] = sites(np.arange(450))
    forest = START
    for _ in range(QUICK.rounds):
        forest = bagged(forest, [site_trees(site, forest, ONE)])
    pooled = forest_of(EXPRESSION[:450], LABELS[:450], EDGES)
    blank = np.zeros_like(pooled.gain)
    assert_same(forest, replace(pooled, gain=blank, cover=blank))
    assert_same(bagged(START, [site_trees(site, START, QUICK)]), forest)


@pytest.mark.parametrize("weights", [None, [1.0, 1.0, 1.0], [0.5, 0.2, 0.3]])
def test_a_round_adds_the_sites_steps_in_their_weights(weights):
    parts = [site_trees(site, START, ONE) for site in sites(*np.split(np.arange(450), [50, 300]))]
    forest = bagged(START, parts, weights)
    steps = [part.margins(EXPRESSION) - START.base_margin[:, None] for part in parts]
    expected = sum(w * s for w, s in zip(weights or [1 / 3] * 3, steps, strict=True))
    np.testing.assert_allclose(
        forest.margins(EXPRESSION) - START.base_margin[:, None], expected, atol=1e-6
    )
    assert (forest.n_rounds, forest.n_trees) == (1, 9)
    assert not forest.cover.any()


def test_bagged_rounds_learn_what_no_site_of_one_class_could_and_xgboost_reads_them(tmp_path):
    # Site 0 has no cell of class 2, site 1 none of class 0.
    train = np.arange(450)
    two = sites(
        train[(train < 300) & (LABELS[:450] != 2)], train[(train >= 150) & (LABELS[:450] != 0)]
    )
    boosting = Boosting(Rules(max_depth=2), rounds=1)
    forest = START
    for _ in range(6):
        forest = bagged(forest, [site_trees(site, forest, boosting) for site in two])
    scores = [
        accuracy(bagged(START, [site_trees(site, START, replace(boosting, rounds=6))]), *HELD_OUT)
        for site in two
    ]
    assert accuracy(forest, *HELD_OUT) > max(scores) + 0.1
    save_xgboost(forest, tmp_path / "m.json", [f"g{i}" for i in range(12)], ["a", "b", "c"])
    booster = xgboost.Booster()
    booster.load_model(tmp_path / "m.json")
    assert booster.num_boosted_rounds() == 6
    margins = booster.inplace_predict(EXPRESSION.toarray(), predict_type="margin")
    np.testing.assert_allclose(forest.margins(EXPRESSION), margins.T, atol=1e-6)
    some = booster.inplace_predict(
        EXPRESSION.toarray(), predict_type="margin", iteration_range=(0, 2)
    )
    np.testing.assert_allclose(forest.rounds(0, 2).margins(EXPRESSION), some.T, atol=1e-6)


HELD_OUT = EXPRESSION[450:], LABELS[450:]


def test_no_site_no_cells_and_uneven_rounds_are_refused():
    [site] = sites(np.arange(450))
    one, two = (site_trees(site, START, replace(ONE, rounds=n)) for n in (1, 2))
    for parts, weights in (([], None), ([one, two], None), ([one, one], [1.0])):
        with pytest.raises(ConfigError, match="at least one site"):
            bagged(START, parts, weights)
    with pytest.raises(ConfigError, match="nothing to grow trees from"):
        site_trees(sites(np.array([], dtype=int))[0], START, ONE)
