"""Means seen once more where classes differ, and records that chance does not part."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from common.synthesis.contrast import coordinate_sums, directions, n_directions, with_coordinates
from common.synthesis.contributions import STEPS, pairs_of
from common.synthesis.generator import Stage
from common.synthesis.generators.gaussian import Gaussian
from common.synthesis.matched_samples import deviations, mirrored, shrunk_into
from common.synthesis.records import Records
from common.synthesis.schema import Schema

K, D = 3, 40
SHARES = np.array([0.5, 0.3, 0.2])


def records_of(n: int, means: np.ndarray, seed: int = 0) -> Records:
    rng = np.random.default_rng(seed)
    classes = rng.choice(K, n, p=SHARES)
    values = means[classes] + rng.normal(size=(n, means.shape[1]))
    return Records(values, classes, np.arange(n))


def schema(n_genes: int = D) -> Schema:
    return Schema(tuple(f"g{j}" for j in range(n_genes)), ("a", "b", "c"), 0.0, 24.0)


def known(n_genes: int = D) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Class means, and a state that has them but for an error of what classes have in common."""
    rng = np.random.default_rng(1)
    means = 12 + rng.normal(size=(K, n_genes))
    state = {
        "means": means + rng.normal(size=n_genes),
        "class_units": 2000 * SHARES,
        "class_units_sd": np.array(0.0),
        "sd": np.ones(n_genes),
    }
    return means, state | directions(state["means"], state["sd"], SHARES, slice(None))


def test_directions_are_the_plane_of_the_means():
    _, state = known()
    axes = state["axes"]
    assert axes.shape == (D, K - 1)
    np.testing.assert_allclose(axes.T @ axes, np.eye(K - 1), atol=1e-12)
    away = state["means"] - SHARES @ state["means"]
    np.testing.assert_allclose(away @ axes @ axes.T, away, atol=1e-10)
    np.testing.assert_allclose(state["axes_sd"], 1.0)


def test_directions_are_of_the_class_genes_alone():
    _, state = known()
    genes = np.array([3, 7])
    found = directions(state["means"], state["sd"], SHARES, genes)
    assert not found["axes"][np.setdiff1d(np.arange(D), genes)].any()
    assert found["axes"].shape == (D, n_directions(K, 2))


def test_an_error_of_the_middle_is_seen_and_mended_along_the_directions():
    means, state = known()
    records = records_of(2000, means)
    total = coordinate_sums(records.values, pairs_of(records, schema()), state, K)
    after = state | with_coordinates(total.astype(float), 0.0, state)
    axes = state["axes"]
    before_error = (state["means"] - means) @ axes
    error = (after["means"] - means) @ axes
    assert np.abs(before_error).max() > 0.5
    # Records at the edge of the ball are clipped: what is left is of the size of chance.
    assert np.abs(error).max() < 0.25 * np.abs(before_error).max()
    across = (after["means"] - state["means"]) - (after["means"] - state["means"]) @ axes @ axes.T
    np.testing.assert_allclose(across, 0.0, atol=1e-10)
    np.testing.assert_allclose(after["class_units"], np.bincount(records.classes), rtol=0.1)


def test_noise_that_hides_the_coordinates_moves_nothing_far():
    means, state = known()
    records = records_of(2000, means)
    rng, noise = np.random.default_rng(2), 1e4 * STEPS
    moved = []
    for _ in range(20):
        total = coordinate_sums(records.values, pairs_of(records, schema()), state, K)
        noisy = total + noise * rng.standard_normal(len(total))
        after = with_coordinates(noisy, noise, state)
        assert np.isfinite(after["means"]).all()
        assert (after["class_units"] > 0).all()
        # Counts were exact before: they stay.
        np.testing.assert_allclose(after["class_units"], state["class_units"], rtol=0.05)
        moved.append(np.linalg.norm(after["means"] - state["means"]))
    # Of the smallest class at most all the noise, 2.5 * 1e4 over a quarter of its 400 units, along
    # either direction: constants below zero do not make it more.
    assert max(moved) < 1000
    assert np.median(moved) < 50


def test_donors_of_many_classes_are_counted_as_many_as_they_are():
    """All classes of one are in one ball: each class's constant is far shorter than a record's."""
    n_classes, n_donors = 16, 300
    rng = np.random.default_rng(4)
    means = 12 + rng.normal(size=(n_classes, D))
    classes = np.tile(np.arange(n_classes), n_donors)
    about = Schema(
        tuple(f"g{j}" for j in range(D)),
        tuple(f"c{c}" for c in range(n_classes)),
        *(0.0, 24.0, "donor"),
    )
    donors = np.repeat(np.arange(n_donors), n_classes)
    records = Records(means[classes] + rng.normal(size=(len(classes), D)), classes, donors)
    state = {
        "means": means,
        "class_units": n_donors + 60 * rng.normal(size=n_classes),
        "class_units_sd": np.array(60.0),
        "sd": np.ones(D),
    }
    state |= directions(means, state["sd"], state["class_units"], slice(None))
    generator = Gaussian(about, 1.0, 1e-5, {"contrast-share": 0.1, "classes-share": 0.4})
    stage = next(stage for stage in generator.stages if stage.name == "contrast")
    total = generator.statistics(stage, records, state).astype(float)
    found = generator.take(stage, total, 1.0, state)["class_units"]
    assert abs(found.mean() / n_donors - 1) < 0.15


def test_a_weak_budget_tells_classes_apart_better_with_a_contrast():
    """The same noise: what the middle's error costs is mended by a tenth of the budget."""
    rng = np.random.default_rng(3)
    n_genes = 300
    means = 12 + rng.normal(0, 1.5, n_genes) + rng.normal(0, 0.2, (K, n_genes))
    train, test = records_of(900, means), records_of(600, means, seed=1)
    base = {
        "coarse-share": 0.15,
        "center-share": 0.3,
        "scatter-share": 0.0,
        "count-weight": 1.2,
    }
    found = {}
    for share in (0.0, 0.1):
        options = base | {"classes-share": 0.55 - share, "contrast-share": share}
        right = []
        for seed in range(8):
            generator = Gaussian(schema(n_genes), 0.5, 1e-5, options)
            state = _fitted(generator, train, 0.15, seed)
            counts = np.maximum(np.rint(state["class_units"]), 2).astype(int)
            values, classes = generator.sample(state, counts, np.random.default_rng(seed))
            middle = values.mean(axis=0)
            model = LogisticRegression(max_iter=500).fit(values - middle, classes)
            right.append(model.score(test.values - middle, test.classes))
        found[share] = np.mean(right)
    assert found[0.1] > found[0.0] + 0.03


def _fitted(generator: Gaussian, records: Records, mu: float, seed: int):
    """With repeatable noise, which is no privacy but fit for a comparison."""
    rng, state = np.random.default_rng(seed), {}
    for stage in generator.stages:
        noise = stage.l2 / math.sqrt(stage.share) / mu
        total = generator.statistics(stage, records, state).astype(float)
        total += noise * rng.standard_normal(stage.n_values)
        state = generator.take(stage, total, noise, state)
    return state


@pytest.mark.parametrize("n_classes", [1, 2])
def test_few_classes(n_classes):
    """Of one class nothing is told apart, and no budget is spent on it."""
    about = Schema(("g0", "g1", "g2"), tuple("ab"[:n_classes]), 0.0, 24.0)
    generator = Gaussian(about, 1.0, 1e-5, {"contrast-share": 0.05, "classes-share": 0.5})
    stages: dict[str, Stage] = {stage.name: stage for stage in generator.stages}
    assert ("contrast" in stages) == (n_classes > 1)
    if n_classes > 1:
        assert stages["contrast"].n_values == 2 * 2
    rng = np.random.default_rng(0)
    records = Records(rng.uniform(5, 15, (30, 3)), np.arange(30) % n_classes, np.arange(30))
    values, _ = generator.sample(
        _fitted(generator, records, 1.0, 0), np.full(n_classes, 5), np.random.default_rng(0)
    )
    assert values.shape == (5 * n_classes, 3)


@settings(max_examples=40, deadline=None)
@given(counts=st.lists(st.integers(0, 9), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_mirrored_records_cancel_but_for_the_axes(counts, seed):
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(len(counts)), counts)
    axes = np.linalg.qr(rng.normal(size=(12, 2)))[0]
    away = deviations(np.zeros((12, 0)), classes, rng)
    found = mirrored(away.copy(), classes, axes)
    assert found.shape == away.shape
    assert np.isfinite(found).all()
    rest = found - found @ axes @ axes.T
    for c, n in enumerate(counts):
        own = found[classes == c]
        if n > 1:
            np.testing.assert_allclose(own.mean(axis=0), 0, atol=1e-9)
            lengths = np.linalg.norm(rest[classes == c], axis=1)
            assert (lengths > 0.1).all()
        if n > 3:
            np.testing.assert_allclose(own[0] @ axes, own[1] @ axes, atol=1e-9)
            np.testing.assert_allclose(rest[classes == c][0], -rest[classes == c][1], atol=1e-9)


def _share_along(values: np.ndarray, classes: np.ndarray, axes: np.ndarray) -> float:
    model = LogisticRegression(max_iter=2000, tol=1e-8).fit(values - values.mean(axis=0), classes)
    return float(np.linalg.norm(model.coef_ @ axes) / np.linalg.norm(model.coef_))


def test_a_classifier_of_mirrored_records_looks_along_the_axes_alone():
    """More genes than records: of plain ones it takes most of its weights from chance."""
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(K), [41, 30, 20])
    axes = np.linalg.qr(rng.normal(size=(200, 2)))[0]
    means = 0.5 * rng.normal(size=(K, 2)) @ axes.T
    away = deviations(np.zeros((200, 0)), classes, rng)
    middle = np.full(200, 3.0)
    found = mirrored(away.copy(), classes, axes) + means[classes]
    assert _share_along(away + means[classes], classes, axes) < 0.9
    assert _share_along(found, classes, axes) > 0.999
    # Bounds that some values leave, on one side: cut, they would tell classes apart by chance.
    within = shrunk_into(middle, found, 0.0, 24.0)
    cut = np.clip(middle + found, 0.0, 24.0)
    assert (cut == 0).any()
    assert within.min() >= 0
    model = LogisticRegression(max_iter=2000, tol=1e-8)
    free = model.fit(found - found.mean(axis=0), classes).predict_proba(found - found.mean(axis=0))
    shrunk = model.fit(within - within.mean(axis=0), classes)
    same = shrunk.predict_proba(within - within.mean(axis=0))
    cut_too = model.fit(cut - cut.mean(axis=0), classes).predict_proba(cut - cut.mean(axis=0))
    assert np.abs(same - free).mean() < np.abs(cut_too - free).mean() / 3


def test_values_that_fit_are_as_they_were():
    rng = np.random.default_rng(0)
    away = rng.normal(size=(10, 4))
    np.testing.assert_array_equal(shrunk_into(np.full(4, 12.0), away, 0, 24), 12.0 + away)
    edge = shrunk_into(np.array([0.0, 25.0, 12.0, -1.0]), away, 0.0, 24.0)
    assert (edge[:, 0] == 0).all()
    assert (edge[:, 1] == 24).all()
    assert (edge[:, 3] == 0).all()
    assert shrunk_into(np.full(4, 12.0), away[:0], 0, 24).shape == (0, 4)
