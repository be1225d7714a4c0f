"""A whole run of classify under masked sums equals the same training on the pooled cells."""

import json

import numpy as np
import pytest
import torch
from sklearn.feature_selection import f_classif

from common.boosting.bins import BinEdges, chosen_edges, public_grid, site_bin_counts
from common.boosting.forest_state import forest_of
from common.boosting.grower import Boosting, Grower, grow
from common.boosting.site import BoostingSite
from common.boosting.splits import Rules
from common.boosting.xgboost_json import load_xgboost
from common.classification.class_weights import class_weights
from common.classification.figures import figures_of
from common.classification.linear_loss import linear_loss
from common.classification.linear_optimum import pooled_optimum, site_sums
from common.classification.published import PublishedClassifier
from common.classification.site_sums import site_sums as scored
from common.errors import SiteFailure
from common.models.classifiers.build import build_classifier
from common.models.classifiers.registry import CLASSIFIERS
from common.models.classifiers.scdlc import ScDLCShape
from common.models.state import state_of
from common.wire_classification import CLASSIFICATION
from server.linear import MAX_ROUNDS, TOLERANCES
from tests.classified import SMALL, PooledCells, classify, labelled_sites, plan_of
from tests.in_process import run_in_process
from tests.small_sites import leftovers, lines, run_json, write_sites

SITES = labelled_sites()
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sites(tmp_path_factory.mktemp("classify") / "data", SITES)


def results(out, **settings):
    published = PublishedClassifier.load(out / "bundle")
    config, plan = plan_of(**settings)
    return published, PooledCells(SITES, published, config), plan


def assert_scored_as_pooled(out, published, pooled):
    """The figures of the run are those of its classifier on all sites' test cells."""
    probabilities = published.trained.probabilities(pooled.matrix, pooled.test, CPU)
    truth = np.where(pooled.y[pooled.test] < 0, -2, pooled.y[pooled.test])
    sums = scored(probabilities, truth)
    scores = json.loads((out / "classification.json").read_text())
    np.testing.assert_array_equal(scores["confusion"], sums["confusion"])
    figures = figures_of(sums["confusion"], sums["calibration"])
    assert scores["figures"]["macro_f1"] == pytest.approx(figures.macro_f1, abs=1e-12)
    ece = figures.expected_calibration_error
    assert scores["figures"]["expected_calibration_error"] == pytest.approx(ece, abs=1e-6)


@pytest.mark.parametrize("name", ["logistic", "svm"])
def test_a_linear_classifier_is_at_the_pooled_optimum(data, tmp_path, name):
    settings = {"classifier": name, "rare_labels": "leave-out"}
    run = classify(tmp_path / "out", data, 3, **settings)
    assert run["status"] == "finished"
    assert run["classes"] == ["A", "B", "C"]
    published, pooled, plan = results(tmp_path / "out", **settings)
    counts = np.bincount(pooled.y[pooled.train], minlength=3)
    loss = linear_loss(plan, len(published.panel.genes), counts)

    def on_pooled(loss, point):
        return site_sums(loss, pooled.matrix, pooled.y, pooled.train, point)

    found = pooled_optimum(
        loss, on_pooled, counts.sum(), tolerance=TOLERANCES[loss.kind], max_rounds=MAX_ROUNDS
    )
    for key, value in loss.state(found.parameters).items():
        tolerance = 2e-2 if name == "svm" else 1e-3
        np.testing.assert_allclose(published.trained.state[key], value, atol=tolerance)
    assert_scored_as_pooled(tmp_path / "out", published, pooled)
    assert leftovers(tmp_path / "out") == []


def test_a_network_makes_the_pooled_steps(data, tmp_path):
    settings = {"classifier": "actinn", "rounds": 12, "batch_size": 4096}
    run = classify(tmp_path / "out", data, 3, **settings)
    # D, of one site alone, would be that site's: no other class takes it in either.
    assert run["classes"] == ["A", "B", "C"]
    assert run["left_out_labels"] == ["D"]
    published, pooled, plan = results(tmp_path / "out", **settings)
    shape = plan.shape
    model = build_classifier("actinn", shape, len(published.panel.genes), 3, 42)
    before = state_of(model)["layers.0.weight"].copy()
    x = torch.from_numpy(pooled.matrix.log(pooled.train))
    y = torch.from_numpy(pooled.y[pooled.train])
    counts = np.bincount(pooled.y[pooled.train], minlength=3)
    weight = torch.from_numpy(class_weights(counts, plan.training.class_weights)).float()
    moments = {n: (torch.zeros_like(p), torch.zeros_like(p)) for n, p in model.named_parameters()}
    for r in range(1, 13):
        losses = torch.nn.functional.cross_entropy(model(x), y, weight=weight, reduction="none")
        penalty = sum(w.square().sum() for n, w in model.named_parameters() if "weight" in n)
        model.zero_grad()
        (losses.mean() + 0.5 * shape.l2 * penalty).backward()
        rate = plan.training.learning_rate * (0.02 + 0.49 * (1 + np.cos(np.pi * (r - 1) / 12)))
        rate *= np.sqrt(1 - 0.99 ** (r + 1)) / (1 - 0.9 ** (r + 1))
        with torch.no_grad():
            for name, p in model.named_parameters():
                m, v = moments[name]
                m.mul_(0.9).add_(0.1 * p.grad)
                v.mul_(0.99).add_(0.01 * p.grad**2)
                p.sub_(rate * m / (v.sqrt() + 1e-8))
    after = state_of(model)
    assert np.abs(after["layers.0.weight"] - before).max() > 1e-2
    for key, value in after.items():
        np.testing.assert_allclose(published.trained.state[key], value, atol=2e-4, err_msg=key)
    assert_scored_as_pooled(tmp_path / "out", published, pooled)
    rounds = lines(tmp_path / "out/metrics.jsonl")
    assert [line["round"] for line in rounds] == list(range(1, 13))
    validated = [line for line in rounds if line["validation_loss_before"] is not None]
    assert [line["round"] for line in validated] == [1, 6, 11]
    assert validated[-1]["validation_loss_before"] < validated[0]["validation_loss_before"]
    assert validated[-1]["validation_accuracy_before"] > 0.8


def test_boosted_trees_are_the_pooled_ones(data, tmp_path):
    settings = {"classifier": "xgboost", "rounds": 4, "label_sites": 1}
    run = classify(tmp_path / "out", data, 3, **settings)
    assert run["classes"] == ["A", "B", "C", "D"]
    published, pooled, plan = results(tmp_path / "out", **settings)
    expression = pooled.matrix.sparse[pooled.train]
    edges = chosen_edges(site_bin_counts(expression, public_grid()), public_grid(), 16)
    assert isinstance(edges, BinEdges)
    y = pooled.y[pooled.train]
    rules = Rules(eta=plan.training.learning_rate, max_depth=plan.shape.max_depth)
    boosting = Boosting(rules, 4, plan.shape.gene_share, 42)
    counts = np.bincount(y, minlength=4)
    # Of balanced types.
    grower = Grower(edges, counts, boosting, class_weight=len(y) / (4 * counts))
    forest = grow(grower, [BoostingSite(edges.bin_cells(expression), y, edges)])
    own = forest_of(published.trained.state)
    for key in ("gene", "threshold", "value", "tree_class", "base_margin"):
        np.testing.assert_array_equal(getattr(own, key), getattr(forest, key), err_msg=key)
    assert (own.gene >= 0).sum() > 10
    saved, genes, classes = load_xgboost(tmp_path / "out/bundle/xgboost.json")
    assert (genes, classes) == (list(published.panel.genes), ["A", "B", "C", "D"])
    np.testing.assert_array_equal(saved.value, own.value)
    assert_scored_as_pooled(tmp_path / "out", published, pooled)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("actinn", {"strategy": "fedavg", "rounds": 2, "logit_adjustment": 1.0}),
        ("actinn", {"strategy": "fedprox", "rounds": 2, "patience": 3}),
        ("logistic", {"strategy": "fedadam", "rounds": 2}),
        ("scdlc", {"rounds": 2}),
        ("scdlc", {"rounds": 2, "classifier_form": "simplified"}),
        ("sccdcg", {"rounds": 2}),
        ("scsmd", {"rounds": 2}),
        ("transformer", {"rounds": 2}),
        ("transformer", {"rounds": 2, "classifier_form": "values"}),
        ("transformer", {"strategy": "fedsgd", "rounds": 2}),
    ],
)
def test_every_network_and_strategy_runs(data, tmp_path, name, settings):
    run = classify(tmp_path / "out", data, 3, classifier=name, **settings)
    assert run["status"] == "finished"
    published = PublishedClassifier.load(tmp_path / "out/bundle")
    assert published.trained.plan == plan_of(classifier=name, **settings)[1]
    assert all(np.isfinite(v).all() for v in published.trained.state.values())
    assert run["test"]["accuracy"] is not None


def test_real_sites_train_under_their_policies(data, tmp_path):
    """Nothing is a class that fewer sites hold than their policies want, and the sites say so."""
    nodes = [
        {"data-path": str(data / f"site-{i}.h5ad"), "output-dir": str(tmp_path / f"{i}")}
        for i in (1, 2, 3)
    ]
    settings = {"classifier": "actinn", "rounds": 2, "min_sites": 3}
    run_in_process(tmp_path / "out", 3, node_configs=nodes, **SMALL, **settings)
    run = run_json(tmp_path / "out")
    assert run["classes"] == ["A", "B", "other"]
    assert run["merged_labels"] == ["C", "D"]
    sent = lines(tmp_path / "1/outbox.jsonl")
    assert [line["phase"] for line in sent if line["phase"] in CLASSIFICATION] == [
        "labels",
        "labels",
        "class_counts",
        "classifier_fit",
        "classifier_fit",
        "validation",
        "temperature",
        "confidences",
        "held_out",
    ]
    fields = [field for line in sent for field in line.get("fields", ())]
    public = {field["field"] for field in fields if field["visibility"] == "public"}
    assert not public & {name for phase in CLASSIFICATION.values() for name in phase.fields}
    with pytest.raises(SiteFailure, match="min-label-sites = 3: the run makes classes"):
        run_in_process(tmp_path / "two", 3, node_configs=nodes, run_id=8, **SMALL, label_sites=2)


def test_scdlc_reads_the_pooled_most_distinct_genes_and_the_foremost_last(
    data, tmp_path, monkeypatch
):
    small = ScDLCShape(n_selected=6, dense=5, units=4)
    monkeypatch.setitem(CLASSIFIERS.get("scdlc").forms, "published", small)
    settings = {"classifier": "scdlc", "rounds": 2}
    classify(tmp_path / "out", data, 3, **settings)
    published, pooled, _ = results(tmp_path / "out", **settings)
    x = pooled.matrix.log(pooled.train).astype(np.float64)
    f, _ = f_classif(x, pooled.y[pooled.train])
    expected = np.argsort(f)[-6:]
    np.testing.assert_array_equal(published.trained.state["selected"], expected)
