"""classify with trees that each site grows by itself: only where sums are plain."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import xgboost

from common.boosting.bagging import bagged, site_trees
from common.boosting.bins import chosen_edges, public_grid, site_bin_counts
from common.boosting.forest import Forest
from common.boosting.forest_state import forest_of
from common.boosting.gradients import class_margins
from common.boosting.site import BoostingSite
from common.boosting.tree_words import trees_of_words, words_of_trees
from common.classification.published import PublishedClassifier
from common.classification.tree_plan import boosting_of
from common.errors import ConfigError, PolicyError, SecureSumError, SiteFailure, WireError
from common.policy import SitePolicy
from server.workflows import classify as workflow
from strategies.bagged_round import BaggedRound
from tests.classified import PooledCells, classify, labelled_sites, plan_of
from tests.in_process import Stopped, stopping
from tests.small_sites import leftovers, lines, write_sites

SITES = labelled_sites()
SETTINGS = {"classifier": "xgboost", "forest": "bagging", "secure_sum": "off", "rounds": 3}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sites(tmp_path_factory.mktemp("bagging") / "data", SITES)


def test_a_run_joins_the_trees_that_each_site_grew(data, tmp_path):
    run = classify(tmp_path / "out", data, 3, **SETTINGS)
    assert run["status"] == "finished"
    assert run["test"]["accuracy"] > 0.8
    published = PublishedClassifier.load(tmp_path / "out/bundle")
    config, plan = plan_of(**SETTINGS)
    pooled = PooledCells(SITES, published, config)
    grid, x = public_grid(), pooled.matrix.sparse
    edges = chosen_edges(site_bin_counts(x[pooled.train], grid), grid, plan.shape.n_edges)
    ends = np.cumsum([0, *(data.n_obs for data in SITES)])
    own = []
    for start, end in pairwise(ends):
        rows = pooled.train[(pooled.train >= start) & (pooled.train < end)]
        own.append(BoostingSite(edges.bin_cells(x[rows]), pooled.y[rows], edges))
    counts = np.bincount(pooled.y[pooled.train], minlength=3)
    weights = (counts.sum() / (3 * counts)).astype(np.float32)  # of balanced types
    forest = Forest.empty(class_margins(counts * weights), edges.n_genes, plan.shape.max_depth)
    one = boosting_of(plan, 1, config.seed)
    for _ in range(3):
        forest = bagged(forest, [site_trees(site, forest, one, weights) for site in own])
    joined = forest_of(published.trained.state)
    for key in ("gene", "threshold", "value", "tree_class", "round_starts", "base_margin"):
        np.testing.assert_array_equal(getattr(joined, key), getattr(forest, key), err_msg=key)
    assert joined.n_trees == 27
    # XGBoost itself answers the same.
    booster = xgboost.Booster(model_file=str(tmp_path / "out/bundle/xgboost.json"))
    test = x[pooled.test].toarray()
    theirs = booster.predict(
        xgboost.DMatrix(test, feature_names=list(published.panel.genes)), output_margin=True
    )
    np.testing.assert_allclose(theirs, joined.margins(x[pooled.test]).T, atol=1e-5)
    assert [line["round"] for line in lines(tmp_path / "out/metrics.jsonl")] == [1, 2, 3]
    sent = lines(tmp_path / "out/sites/site-1/outbox.jsonl")
    fields = [f for line in sent if line["phase"] == "bagged_trees" for f in line["fields"]]
    assert {f["visibility"] for f in fields if f["field"] == "trees"} == {"unmasked"}
    assert leftovers(tmp_path / "out") == []


def test_a_stopped_run_goes_on(data, tmp_path):
    settings = SETTINGS | {"patience": 5}
    classify(tmp_path / "whole", data, 3, **settings)
    with pytest.raises(Stopped):
        classify(tmp_path / "out", data, 3, tamper=stopping("bagged_trees", 5), **settings)
    classify(tmp_path / "out", data, 3, resume=True, run_id=8, **settings)
    assert [line["round"] for line in lines(tmp_path / "out/metrics.jsonl")] == [1, 2, 3]
    whole, own = (PublishedClassifier.load(tmp_path / k / "bundle") for k in ("whole", "out"))
    for name, value in whole.trained.state.items():
        np.testing.assert_array_equal(own.trained.state[name], value)


def test_it_stops_where_the_validation_loss_no_longer_falls(data, tmp_path):
    settings = SETTINGS | {"patience": 1, "rounds": 40, "learning_rate": 1.0}
    run = classify(tmp_path / "out", data, 3, **settings)
    published = PublishedClassifier.load(tmp_path / "out/bundle")
    assert forest_of(published.trained.state).n_rounds == run["kept_round"]
    assert run["stopped_early"] == run["kept_round"] + 1


@pytest.mark.parametrize("sums", ["masked", "crypten"])
def test_masked_sums_have_no_single_trees(sums):
    match = f"forest = bagging joins the trees of single sites, which secure-sum = {sums} hides"
    with pytest.raises(ConfigError, match=match):
        plan_of(**SETTINGS | {"secure_sum": sums})


def test_a_policy_that_wants_masks_and_another_classifier_refuse_it():
    config, _ = plan_of(**SETTINGS, label_sites=3)
    with pytest.raises(PolicyError, match="policy rule require-masking"):
        SitePolicy().allow(config)
    with pytest.raises(ConfigError, match="does not read forest = bagging"):
        plan_of(**SETTINGS | {"classifier": "actinn"})


def test_a_site_grows_no_trees_of_its_own_for_a_run_that_did_not_say_so(
    data, tmp_path, monkeypatch
):
    # A coordinator that asks for them under other settings.
    monkeypatch.setattr(workflow, "TreeRounds", workflow.BaggedTreeRounds)
    with pytest.raises(SiteFailure, match="ask for no trees of single sites"):
        classify(tmp_path / "out", data, 3, **SETTINGS | {"forest": "joint"})


def test_a_round_under_masks_is_not_even_asked():
    class Masked:
        masks = True
        trips = ()

    with pytest.raises(SecureSumError, match="forest = bagging needs plain sums"):
        BaggedRound(backend=Masked(), run="7", min_sites=2)


def a_round(n_classes=3, n_genes=5, depth=2, seed=0):
    rng = np.random.default_rng(seed)
    forest = Forest.empty(np.zeros(n_classes), n_genes, depth)
    blank = forest.one_round(np.arange(n_classes))
    gene = np.full(blank.gene.shape, -1, dtype=np.int32)
    gene[:, :3] = rng.integers(-1, n_genes, (n_classes, 3))
    threshold, value = rng.normal(size=(2, *gene.shape)).astype(np.float32)
    return forest, replace(blank, gene=gene, threshold=threshold, value=value)


def test_trees_cross_exactly():
    forest, trees = a_round()
    words = words_of_trees(trees)
    assert words.shape == (3, 7, 2)
    back = trees_of_words(words, forest)
    for name in ("gene", "threshold", "value", "tree_class", "round_starts"):
        np.testing.assert_array_equal(getattr(back, name), getattr(trees, name))


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"gene": 5}, "splits where it cannot, over 5 genes"),
        ({"gene": -2}, "splits where it cannot"),
        ({"value": np.nan}, "not finite"),
        ({"threshold": np.inf}, "not finite"),
    ],
)
def test_what_is_no_tree_is_refused(changed, match):
    forest, trees = a_round()
    (name, value), *_ = changed.items()
    array = getattr(trees, name).copy()
    array[1, 0] = value
    with pytest.raises(WireError, match=match):
        trees_of_words(words_of_trees(replace(trees, **{name: array})), forest)
    with pytest.raises(WireError, match=r"shape \(2, 7, 2\), expected"):
        trees_of_words(words_of_trees(trees)[:2], forest)
    leaf = trees.gene.copy()
    leaf[0, 6] = 1
    with pytest.raises(WireError, match="splits where it cannot"):
        trees_of_words(words_of_trees(replace(trees, gene=leaf)), forest)
