"""The optimum of linear classifiers from sums over sites, against pooled data and scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC, LinearSVC

from common.classification.class_weights import class_weights
from common.classification.linear_optimum import LinearLoss, objective, pooled_optimum, site_sums
from common.errors import UpdateError
from common.models.classifiers.build import build_classifier, shape_of
from common.models.classifiers.class_balance import ClassBalance
from common.models.classifiers.logistic import LogisticShape
from common.models.classifiers.svm import SVMShape
from common.models.state import load_state
from tests.classifier_cells import N_CLASSES, N_GENES, labelled_cells

MATRIX, Y = labelled_cells(300)
ROWS = np.arange(10, 300)
N = len(ROWS)
# Sites of unequal size, the first two without a class that others hold.
SITES = [
    ROWS[(ROWS < 60) & (Y[ROWS] != 2)],
    ROWS[(ROWS >= 60) & (ROWS < 200) & (Y[ROWS] != 0)],
]
SITES.append(np.setdiff1d(ROWS, np.concatenate(SITES)))
WEIGHTS = class_weights(np.bincount(Y[ROWS]), "balanced")
KINDS = ["softmax", "hinge", "squared_hinge"]


def linear_loss(kind, **values):
    default = {"alpha": 1e-2, "scaled": True}
    return LinearLoss(kind, N_GENES, N_CLASSES, **(default | values))


def over(sites, rounding=None):
    """The sum over sites, as masks leave it: rounded to multiples of ``rounding``, if given."""

    def total(loss, point):
        sums = [site_sums(loss, MATRIX, Y, rows, point) for rows in sites]
        if rounding:
            sums = [np.round(part / rounding) * rounding for part in sums]
        return np.sum(sums, axis=0)

    return total


def expression(scaled):
    return (MATRIX.scaled(ROWS).numpy() if scaled else MATRIX.log(ROWS)).astype(np.float64)


def some_point(seed=1, size=0.3):
    return np.random.default_rng(seed).normal(0, size, N_CLASSES * (N_GENES + 1))


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("kind", KINDS)
def test_sums_are_those_of_the_classifier_that_is_trained_in_mini_batches(kind, weights, scaled):
    loss = linear_loss(kind, class_weights=weights, scaled=scaled)
    name = "logistic" if kind == "softmax" else "svm"
    alpha = loss.alpha
    shape = LogisticShape(alpha) if name == "logistic" else SVMShape(alpha, kind != "hinge")
    model = build_classifier(name, shape, N_GENES, N_CLASSES, 0)
    load_state(model, loss.state(some_point()))
    model.double()
    balance = ClassBalance(None if weights is None else torch.from_numpy(weights))
    x, y = torch.from_numpy(expression(scaled)), torch.from_numpy(Y[ROWS])
    total = sum(model.losses(x, y, balance, None).values())
    total.backward()
    point = some_point().astype(np.float32).astype(np.float64)
    value, gradient = objective(loss, over(SITES)(loss, point), N, point)
    assert value == pytest.approx(float(total.detach()), rel=1e-9)
    layer = model.linear
    expected = np.concatenate([layer.weight.grad.ravel(), layer.bias.grad])
    np.testing.assert_allclose(gradient, expected, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("corner", [0.1, 0.5])
def test_a_round_corner_meets_the_hinge(corner):
    """It lies above the hinge, by no more than a quarter of its half width."""
    loss = linear_loss("hinge")
    rounded = replace(loss, corner=corner)
    for seed in range(5):
        point = some_point(seed)
        hinge, ours = (site_sums(one, MATRIX, Y, ROWS, point) for one in (loss, rounded))
        assert 0 < ours[0] - hinge[0] < corner / 4 * N * N_CLASSES
        step = np.random.default_rng(seed).normal(size=point.shape)
        up, down = (site_sums(rounded, MATRIX, Y, ROWS, point + e * step)[0] for e in (1e-6, -1e-6))
        assert ours[1:] @ step == pytest.approx((up - down) / 2e-6, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_parts_of_sites_add_up_to_the_pooled_sum(kind):
    loss, point = linear_loss(kind, class_weights=WEIGHTS), some_point()
    np.testing.assert_allclose(
        over(SITES)(loss, point), over([ROWS])(loss, point), rtol=1e-10, atol=1e-9
    )
    assert not site_sums(loss, MATRIX, Y, ROWS[:0], point).any()


@pytest.mark.parametrize("kind", KINDS)
def test_sums_do_not_depend_on_the_chunk(kind, monkeypatch):
    loss, point = linear_loss(kind), some_point()
    once = site_sums(loss, MATRIX, Y, ROWS, point)
    monkeypatch.setattr("common.classification.linear_optimum.CHUNK", 7)
    np.testing.assert_allclose(site_sums(loss, MATRIX, Y, ROWS, point), once, rtol=1e-10)


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("alpha", [1e-3, 0.1])
def test_logistic_over_sites_is_scikit_learns_pooled_optimum(alpha, weights, scaled):
    loss = linear_loss("softmax", alpha=alpha, class_weights=weights, scaled=scaled)
    ours = pooled_optimum(loss, over(SITES), N, tolerance=1e-7)
    assert ours.converged
    pooled = pooled_optimum(loss, over([ROWS]), N, tolerance=1e-7)
    np.testing.assert_allclose(ours.parameters, pooled.parameters, atol=1e-4)
    x, y = expression(scaled), Y[ROWS]
    expected = LogisticRegression(C=1 / (alpha * N), tol=1e-10, max_iter=10_000)
    expected.fit(x, y, sample_weight=None if weights is None else weights[y])
    weight, bias = loss.split(ours.parameters)
    # Adding to every class's bias changes nothing.
    np.testing.assert_allclose(weight, expected.coef_, atol=2e-3)
    centred = expected.intercept_ - expected.intercept_.mean()
    np.testing.assert_allclose(bias - bias.mean(), centred, atol=5e-3)
    at_theirs = np.concatenate([expected.coef_.ravel(), expected.intercept_])
    value, _ = objective(loss, over(SITES)(loss, at_theirs), N, at_theirs)
    assert ours.value == pytest.approx(value, abs=1e-9)
    # As far as a run goes by default.
    coarse = pooled_optimum(loss, over(SITES), N)
    weight, bias = loss.split(coarse.parameters)
    answers = (x @ weight.T + bias).argmax(axis=1)
    assert (answers == y).mean() == pytest.approx(expected.score(x, y), abs=1e-3)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_hinge_over_sites_is_scikit_learns_pooled_optimum(weighted):
    alpha = 1e-2
    loss = linear_loss("hinge", alpha=alpha, class_weights=WEIGHTS if weighted else None)
    ours = pooled_optimum(loss, over(SITES), N)
    x, y = expression(True), Y[ROWS]
    margins = np.empty((N, N_CLASSES))
    expected = np.empty((N_CLASSES, N_GENES + 1))
    for k in range(N_CLASSES):
        own = {1: WEIGHTS[k] if weighted else 1.0, 0: 1.0}
        machine = SVC(kernel="linear", C=1 / (alpha * N), tol=1e-6, class_weight=own)
        machine.fit(x, k == y)
        margins[:, k] = machine.decision_function(x)
        expected[k] = np.append(machine.coef_, machine.intercept_)
    weight, bias = loss.split(ours.parameters)
    theirs = np.concatenate([expected[:, :-1].ravel(), expected[:, -1]])
    values = [
        objective(loss, over(SITES)(loss, point), N, point)[0]
        for point in (ours.parameters, theirs)
    ]
    # Of the hinge itself, which the round corner overstates by 0.02 / 4 per class at most.
    assert values[0] == pytest.approx(values[1], abs=1e-3)
    answers = (x @ weight.T + bias).argmax(axis=1)
    assert (answers == y).mean() == pytest.approx((margins.argmax(axis=1) == y).mean(), abs=4e-3)
    assert (answers == margins.argmax(axis=1)).mean() > 0.99


def test_a_squared_hinge_over_sites_is_liblinears_pooled_optimum():
    loss = linear_loss("squared_hinge", class_weights=WEIGHTS)
    ours = pooled_optimum(loss, over(SITES), N, tolerance=1e-7)
    assert ours.converged
    x, y = expression(True), Y[ROWS]
    weight, bias = loss.split(ours.parameters)
    for k in range(N_CLASSES):
        # LIBLINEAR penalises the bias over intercept_scaling squared: as good as free.
        machine = LinearSVC(
            C=1 / (loss.alpha * N),
            class_weight={True: WEIGHTS[k], False: 1.0},
            intercept_scaling=30,
            dual=False,
            tol=1e-10,
            max_iter=100_000,
        ).fit(x, k == y)
        np.testing.assert_allclose(weight[k], machine.coef_[0], atol=2e-3)
        assert bias[k] == pytest.approx(machine.intercept_[0], abs=5e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_sums_rounded_as_under_masks_give_the_same_accuracy(kind):
    loss = linear_loss(kind)
    exact = pooled_optimum(loss, over([ROWS]), N)
    rounded = pooled_optimum(loss, over(SITES, rounding=2.0**-16), N)
    assert rounded.value == pytest.approx(exact.value, abs=1e-4)
    answers = []
    for one in (exact, rounded):
        weight, bias = loss.split(one.parameters)
        answers.append((expression(True) @ weight.T + bias).argmax(axis=1))
    assert (answers[0] == Y[ROWS]).mean() == pytest.approx((answers[1] == Y[ROWS]).mean(), abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_rounds_run_out_at_their_number_with_the_best_point(kind):
    loss, points = linear_loss(kind, alpha=1e-4), []
    total = over(SITES)

    def counted(loss, point):
        sums = total(loss, point)
        points.append(objective(loss, sums, N, point)[0])
        return sums

    for limit in (3, 6, 21):
        points.clear()
        ours = pooled_optimum(loss, counted, N, max_rounds=limit)
        assert not ours.converged
        assert ours.n_rounds == len(points) == limit
        assert ours.value == (min(points) if kind != "hinge" else min(points[-(limit // 3) :]))


def test_a_start_at_the_optimum_is_one_round():
    loss = linear_loss("softmax")
    ours = pooled_optimum(loss, over(SITES), N)
    again = pooled_optimum(loss, over(SITES), N, start=ours.parameters, tolerance=1e-3)
    assert again.n_rounds == 1
    assert ours.n_rounds > 10
    np.testing.assert_array_equal(again.parameters, ours.parameters)


@pytest.mark.parametrize(("kind", "name"), [("softmax", "logistic"), ("hinge", "svm")])
def test_the_optimum_is_the_state_of_a_classifier(kind, name):
    loss, point = linear_loss(kind), some_point()
    model = build_classifier(name, shape_of(name), N_GENES, N_CLASSES, 0)
    load_state(model, loss.state(point))
    weight, bias = loss.split(point)
    with torch.no_grad():
        logits = model(MATRIX.scaled(ROWS)).numpy()
    np.testing.assert_allclose(logits, expression(True) @ weight.T + bias, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_sum_that_is_not_finite_is_refused(wrong):
    loss = linear_loss("softmax")
    sums = over(SITES)(loss, some_point())
    for place in (0, 5):
        broken = sums.copy()
        broken[place] = wrong
        with pytest.raises(UpdateError, match="not finite"):
            pooled_optimum(loss, lambda *_, broken=broken: broken, N)
