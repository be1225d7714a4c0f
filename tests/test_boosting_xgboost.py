"""The trees are XGBoost's own, and XGBoost reads the file that they are saved in."""

import json

import numpy as np
import pytest
import xgboost

from common.boosting.bins import BinEdges, chosen_edges, public_grid, site_bin_counts
from common.boosting.grower import Boosting
from common.boosting.splits import Rules
from common.boosting.xgboost_json import from_json, load_xgboost, save_xgboost, to_json
from common.errors import InputError
from tests.boosting_cells import accuracy, assert_same, cells, forest_of

GENES = [f"HLA-D{i}.1" for i in range(12)]
CLASSES = ["B cell", "T cell, CD4+", 'NK "bright"']
EXPRESSION, LABELS = cells()
EDGES = BinEdges.alike(12, 24)


def train(features, labels, rules: Rules, rounds: int, weights=None) -> xgboost.Booster:
    """XGBoost's hist with one bin for each distinct value."""
    params = {
        "objective": "multi:softprob",
        "num_class": int(labels.max()) + 1,
        "tree_method": "hist",
        "max_bin": 256,
        "nthread": 1,
        **{name: getattr(rules, name) for name in rules.__dataclass_fields__},
    }
    return xgboost.train(params, xgboost.DMatrix(features, labels, weight=weights), rounds)


@pytest.mark.parametrize(
    ("rules", "class_weight"),
    [
        (Rules(), None),
        (Rules(eta=1.0, max_depth=2), None),
        (Rules(max_depth=6, reg_lambda=0.5, min_child_weight=0.3), None),
        (Rules(gamma=3.0, min_child_weight=4.0), None),
        (Rules(max_depth=4, min_child_weight=15.0), None),
        (Rules(max_depth=4), np.array([1.0, 4.0, 0.5])),
    ],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_federated_trees_are_those_of_xgboost_on_the_pooled_cells(rules, class_weight, seed):
    expression, labels = cells(n_cells=400, seed=seed)
    sites = np.split(np.arange(400), [30, 200])
    boosting = Boosting(rules, rounds=4)
    ours = forest_of(expression, labels, EDGES, boosting, sites, class_weight)
    # XGBoost makes one bin of each code, so that its bins are ours.
    codes = EDGES.bin_cells(expression).toarray().astype(np.float32)
    weights = None if class_weight is None else class_weight[labels]
    booster = train(codes, labels, rules, 4, weights)
    theirs, *_ = from_json(json.loads(booster.save_raw("json")))
    theirs = theirs.with_room(ours.max_depth)
    for name in ("gene", "tree_class", "round_starts"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)
    np.testing.assert_allclose(ours.base_margin, theirs.base_margin, atol=1e-6)
    leaf = ours.gene < 0
    for name, mask in (("value", leaf), ("gain", ~leaf), ("cover", ~leaf | leaf)):
        first, second = (getattr(forest, name)[mask] for forest in (ours, theirs))
        np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-4, err_msg=name)
    # Its cuts are the codes that occur: the next one from our edge on.
    for tree, node in zip(*np.nonzero(~leaf), strict=True):
        gene = ours.gene[tree, node]
        cut = EDGES.codes(gene, ours.threshold[tree, node])
        occurring = np.unique(codes[:, gene])
        assert occurring[np.searchsorted(occurring, cut)] == theirs.threshold[tree, node]
    margins = booster.predict(xgboost.DMatrix(codes), output_margin=True)
    np.testing.assert_allclose(ours.margins(expression), margins.T, atol=1e-4)


def booster_of(path) -> xgboost.Booster:
    booster = xgboost.Booster()
    booster.load_model(path)
    return booster


@pytest.fixture
def saved(tmp_path):
    forest = forest_of(EXPRESSION, LABELS, EDGES, sites=np.split(np.arange(300), [100]))
    path = tmp_path / "model.json"
    save_xgboost(forest, path, GENES, CLASSES)
    return forest, path


@pytest.mark.parametrize("dense", [True, False])
def test_xgboost_predicts_the_same_from_the_saved_file(saved, dense):
    forest, path = saved
    # Absent values are missing to XGBoost, and zero to us.
    features = EXPRESSION.toarray() if dense else EXPRESSION
    data = xgboost.DMatrix(features, feature_names=GENES)
    booster = booster_of(path)
    margins = booster.predict(data, output_margin=True)
    np.testing.assert_allclose(forest.margins(EXPRESSION), margins.T, atol=1e-6)
    probabilities = booster.predict(data)
    np.testing.assert_allclose(forest.probabilities(EXPRESSION), probabilities, atol=1e-6)
    first = booster.predict(data, output_margin=True, iteration_range=(0, 1))
    np.testing.assert_allclose(forest.rounds(0, 1).margins(EXPRESSION), first.T, atol=1e-6)
    assert booster.num_boosted_rounds() == 3
    assert json.loads(booster.attr("classes")) == CLASSES


def test_xgboost_explains_and_goes_on_training_from_it(saved):
    forest, path = saved
    data = xgboost.DMatrix(EXPRESSION.toarray(), LABELS, feature_names=GENES)
    shap = booster_of(path).predict(data, pred_contribs=True)
    np.testing.assert_allclose(shap.sum(axis=2), forest.margins(EXPRESSION).T, atol=1e-4)
    params = {"objective": "multi:softprob", "num_class": 3, "nthread": 1}
    longer = xgboost.train(params, data, 2, xgb_model=booster_of(path))
    assert longer.num_boosted_rounds() == 5
    loaded, *_ = from_json(json.loads(longer.save_raw("json")))
    margins = longer.predict(data, output_margin=True)
    np.testing.assert_allclose(loaded.margins(EXPRESSION), margins.T, atol=1e-5)


def test_a_saved_forest_comes_back_as_it_was(saved):
    forest, path = saved
    loaded, genes, classes = load_xgboost(path)
    assert_same(loaded.with_room(forest.max_depth), forest)
    assert (genes, classes) == (GENES, CLASSES)
    assert [file.name for file in path.parent.iterdir()] == ["model.json"]


def test_xgboost_writes_back_what_it_read(saved):
    forest, path = saved
    booster_of(path).save_model(path)
    loaded, genes, classes = load_xgboost(path)
    np.testing.assert_array_equal(loaded.margins(EXPRESSION), forest.margins(EXPRESSION))
    assert (genes, classes) == (GENES, CLASSES)


def test_a_model_of_xgboost_itself_is_read():
    dense = EXPRESSION.toarray()
    booster = train(dense, LABELS, Rules(max_depth=7, min_child_weight=0.0), 3)
    forest, genes, classes = from_json(json.loads(booster.save_raw("json")))
    margins = booster.predict(xgboost.DMatrix(dense), output_margin=True)
    np.testing.assert_allclose(forest.margins(EXPRESSION), margins.T, atol=1e-6)
    assert forest.max_depth > 3
    assert set(genes) == set(classes) == {""}
    assert accuracy(forest, EXPRESSION, LABELS) > 0.9


def test_edges_chosen_for_each_gene_are_thresholds_in_the_file(tmp_path):
    grid = public_grid()
    edges = chosen_edges(site_bin_counts(EXPRESSION, grid), grid, 5, min_cells=10)
    forest = forest_of(EXPRESSION, LABELS, edges)
    save_xgboost(forest, tmp_path / "m.json", GENES, CLASSES)
    data = xgboost.DMatrix(EXPRESSION, feature_names=GENES)
    margins = booster_of(tmp_path / "m.json").predict(data, output_margin=True)
    np.testing.assert_allclose(forest.margins(EXPRESSION), margins.T, atol=1e-6)
    assert np.isin(forest.threshold[forest.gene >= 0], grid).all()


def spoil(model, how):
    learner = model["learner"]
    booster = learner["gradient_booster"]["model"]
    tree = booster["trees"][0]
    if how == "objective":
        learner["objective"]["name"] = "binary:logistic"
    elif how == "tree_info":
        booster["tree_info"][0] = 3
    elif how == "rounds":
        booster["iteration_indptr"][-1] = 5
    elif how == "loop":
        tree["right_children"][0] = tree["left_children"][0]
    elif how == "feature":
        tree["split_indices"][0] = 12
    elif how == "categories":
        tree["split_type"][0] = 1
    elif how == "trees":
        del booster["trees"]
    elif how == "deep":
        # A chain of splits: node 2 j - 1 has the children 2 j + 1 and 2 j + 2.
        left, right = [-1] * 29, [-1] * 29
        for depth, node in enumerate([0, *range(1, 27, 2)]):
            left[node], right[node] = 2 * depth + 1, 2 * depth + 2
        tree["left_children"], tree["right_children"] = left, right
    return model


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("objective", "multi:softprob"),
        ("tree_info", "not a JSON model.*class for every tree"),
        ("rounds", "not a JSON model.*into rounds"),
        ("loop", "not a JSON model.*two parents"),
        ("feature", "not a JSON model.*beyond the last"),
        ("categories", "categories"),
        ("trees", "not a JSON model.*trees"),
        ("deep", "deeper than 12"),
    ],
)
def test_another_model_is_refused(saved, how, words):
    _, path = saved
    path.write_text(json.dumps(spoil(json.loads(path.read_text()), how)))
    with pytest.raises(InputError, match=words):
        load_xgboost(path)


@pytest.mark.parametrize("text", ["", "[1, 2]", '{"learner": 3}', "\x00"])
def test_a_file_that_is_no_model_is_refused(tmp_path, text):
    path = tmp_path / "model.json"
    path.write_text(text)
    with pytest.raises(InputError, match="save it with"):
        load_xgboost(path)
    with pytest.raises(InputError, match="cannot be read"):
        load_xgboost(tmp_path / "none.json")


def test_names_must_fit_the_forest(saved):
    forest, _ = saved
    with pytest.raises(InputError, match="11 genes' and 3 classes' names"):
        to_json(forest, GENES[:11], CLASSES)
