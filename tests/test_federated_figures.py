"""The figures behind a federated evaluation: unbiased, in step with the effect, additive."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression

from common.federated_evaluation import axes
from common.federated_evaluation.between import BatchSums
from common.federated_evaluation.centres import Centres, moment_sums
from common.federated_evaluation.fourier import fourier_features
from common.federated_evaluation.probe import (
    explained,
    probe_features,
    probe_sums,
    product_sums,
    scatter_of,
    whitening,
)
from common.federated_evaluation.reconstruction import ReconstructionSums, explained_by_model
from common.federated_evaluation.scores import score
from common.federated_evaluation.second_moments import product_features
from common.federated_evaluation.type_separation import separation_sums

SIZES = (200, 60, 25)


def cells_of(rng, shift=0.0, spread=1.0, sizes=SIZES, n_dims=8):
    """Batches of one type: all but the first are shifted or spread; rows of each."""
    parts = [rng.normal(size=(sizes[0], n_dims))]
    parts += [rng.normal(shift * (-1) ** i, spread, (n, n_dims)) for i, n in enumerate(sizes[1:])]
    rows = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    return np.concatenate(parts), rows


def standardised(cells, rows):
    total, squares = moment_sums(cells, [rows])
    return Centres.of(total, squares, np.array([len(rows)])).standard(cells, 0)


def share(cells, rows, features):
    return BatchSums.of(standardised(cells, rows), rows, features).between_share(len(rows))


def probed(cells, rows):
    standard = standardised(cells, rows)
    total = BatchSums.of(standard, rows, probe_features).total
    n_batches = np.array([len(rows)])
    scatter = scatter_of(product_sums(standard, rows), total[None], n_batches)
    whitener = whitening(scatter)
    within, chance = (np.array([value]) for value in probe_sums(standard, rows, whitener))
    return explained(scatter, whitener, within, chance, n_batches)


def measures():
    return {
        "fourier": lambda cells, rows: share(cells, rows, fourier_features),
        "products": lambda cells, rows: share(cells, rows, product_features),
        "probe": probed,
    }


@pytest.mark.parametrize("measure", ["fourier", "products", "probe"])
def test_batches_that_do_not_differ_have_none_of_the_variance(measure):
    """On average, though they are few and of unequal sizes; a plain ratio would show some."""
    values = [measures()[measure](*cells_of(np.random.default_rng(i))) for i in range(60)]
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 4 * error
    by_chance = 2 / 3 * np.mean([1 / n for n in SIZES])
    assert error < by_chance / 3


@pytest.mark.parametrize("measure", ["fourier", "products", "probe"])
def test_a_larger_shift_is_seen_as_larger(measure):
    shifts = (0.0, 0.2, 0.4, 0.8, 1.6)
    values = [
        np.mean([measures()[measure](*cells_of(np.random.default_rng(i), s)) for i in range(8)])
        for s in shifts
    ]
    if measure == "products":
        # About a common mean a shift of either sign is a spread.
        shifts, values = shifts[1:], values[1:]
    assert values == sorted(values)
    assert values[-1] > 0.02


@pytest.mark.parametrize("measure", ["fourier", "products", "probe"])
def test_equal_means_of_unequal_spread_are_told_apart(measure):
    spreads = (1.0, 1.3, 1.8, 2.5)
    values = []
    for spread in spreads:
        found = []
        for i in range(8):
            cells, rows = cells_of(np.random.default_rng(i), spread=spread)
            for own in rows:
                cells[own] -= cells[own].mean(axis=0)
            found.append(measures()[measure](cells, rows))
        values.append(np.mean(found))
    assert values == sorted(values)
    assert values[-1] > 0.02


def test_the_share_is_one_where_batches_have_no_width():
    cells, rows = cells_of(np.random.default_rng(0))
    for i, own in enumerate(rows):
        cells[own] = i
    assert BatchSums.of(cells, rows).between_share(3) == pytest.approx(1)
    assert BatchSums.of(np.ones_like(cells), rows).between_share(3) is None


def test_sums_of_sites_add_up_to_those_of_all():
    cells, rows = cells_of(np.random.default_rng(1), 0.5)
    whole = BatchSums.of(cells, rows, fourier_features)
    parts = [BatchSums.of(cells, [own], fourier_features) for own in rows]
    for name in ("total", "squares", "within", "chance"):
        summed = sum(getattr(part, name) for part in parts)
        np.testing.assert_allclose(summed, getattr(whole, name), rtol=1e-12)
    nothing = BatchSums.of(cells, [], fourier_features)
    assert nothing.total.shape == (512,)
    assert not np.any(nothing.total)
    assert (nothing.squares, nothing.within, nothing.chance) == (0, 0, 0)


def test_every_batch_counts_alike():
    """Ten times the cells of one batch change nothing but chance."""
    cells, rows = cells_of(np.random.default_rng(8), 0.8, sizes=(4000, 4000))
    few = [rows[0], rows[1][:400]]
    assert share(cells, few, fourier_features) == pytest.approx(
        share(cells, rows, fourier_features), rel=0.1
    )


def test_fourier_features_give_the_kernel():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(40, 6)) / np.sqrt(6)
    phi = fourier_features(x)
    exact = np.exp(-((x[:, None] - x[None]) ** 2).sum(axis=2))
    assert np.abs(phi @ phi.T - exact).max() < 0.25
    assert np.abs((phi @ phi.T - exact).mean()) < 0.02


def test_products_have_the_distances_of_matrices():
    x = np.random.default_rng(3).normal(size=(5, 4))
    outer = x[:, :, None] * x[:, None, :]
    found = product_features(x)
    assert found.shape == (5, 10)
    np.testing.assert_allclose(found @ found.T, np.einsum("nij,mij->nm", outer, outer))


def test_the_probe_is_the_regression_it_stands_for():
    """With many cells there is no chance to correct for: R^2 of the indicators, by scikit-learn."""
    sizes = (3000, 3000, 3000)
    cells, rows = cells_of(np.random.default_rng(4), 0.4, 1.2, sizes=sizes)
    indicators = np.zeros((len(cells), 3))
    for column, own in enumerate(rows):
        indicators[own, column] = 1
    features = probe_features(standardised(cells, rows))
    fitted = LinearRegression().fit(features, indicators).predict(features)
    centred = indicators - indicators.mean(axis=0)
    residual = indicators - fitted
    # Pillai's trace: of indicators whitened among themselves.
    whole = np.trace(np.linalg.pinv(centred.T @ centred) @ (residual.T @ residual))
    assert probed(cells, rows) == pytest.approx(1 - whole / 2, abs=0.01)


def test_axes_are_the_principal_ones():
    """Of more genes than are sketched, with a spectrum that falls as that of cells does."""
    rng = np.random.default_rng(5)
    scale = 5.0 / (1 + np.arange(150)) ** 0.8
    rotation = np.linalg.qr(rng.normal(size=(150, 150)))[0]
    x = (rng.normal(size=(800, 150)) * scale) @ rotation + rng.normal(size=150)
    parts = [axes.sketch_sums(part, axes.test_matrix(150)) for part in (x[:300], x[300:])]
    total, sketch = (sum(values) / 800 for values in zip(*parts, strict=True))
    mean, found = axes.axes_of(total, sketch)
    np.testing.assert_allclose(mean, x.mean(axis=0))
    np.testing.assert_allclose(found.T @ found, np.eye(20), atol=1e-9)
    best = PCA(20).fit(x)
    explained_here = (((x - mean) @ found) ** 2).sum() / ((x - mean) ** 2).sum()
    assert explained_here > 0.97 * best.explained_variance_ratio_.sum()
    leading = np.abs((found[:, :5] * best.components_[:5].T).sum(axis=0))
    assert leading.min() > 0.98


def test_expression_that_does_not_vary_has_no_axes():
    total, sketch = axes.sketch_sums(np.full((5, 30), 2.0), axes.test_matrix(30))
    assert not axes.axes_of(total / 5, sketch / 5)[1].any()


def test_types_are_compared_within_batches():
    """A batch effect leaves it as it is, cells without a label as well."""
    rng = np.random.default_rng(6)
    types = np.array(["A", "B"] * 100, dtype=object)
    batch = np.repeat(["p", "q"], 100)
    cells = rng.normal(size=(200, 4)) + (types == "A")[:, None] * 3.0
    between, total = separation_sums(cells, batch, types, 1)
    moved = cells + (batch == "p")[:, None] * 50.0
    np.testing.assert_allclose(separation_sums(moved, batch, types, 1), (between, total))
    assert between / total == pytest.approx(2.25 / 3.25, abs=0.05)
    shuffled = rng.permutation(types)
    between, total = separation_sums(cells, batch, shuffled, 1)
    assert abs(between / total) < 0.03
    types[:10] = None
    kept = slice(10, None)
    np.testing.assert_allclose(
        separation_sums(cells, batch, types, 1),
        separation_sums(cells[kept], batch[kept], types[kept], 1),
    )
    assert separation_sums(cells, batch, np.full(200, "A", dtype=object), 1) == (0, 0)


def test_reconstruction_in_chunks_and_by_means():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(60, 9))
    held_out = np.arange(60) < 12
    groups = [("p", "AB"[i % 2]) for i in range(59)] + [("p", None)]
    sums = ReconstructionSums(held_out, groups)
    for rows in (slice(0, 25), slice(25, 60)):
        sums.add(rows, x[rows], 0.5 * x[rows])
    found = explained_by_model(sums.sums(60))
    assert found["reconstruction"] == pytest.approx(0.75)
    assert found["validation_reconstruction"] == pytest.approx(0.75)
    # There are no types: the others' mean is worse than the pooled one.
    assert -0.15 < found["means_reconstruction"] < 0
    none = ReconstructionSums(np.zeros(60, dtype=bool), groups)
    none.add(slice(0, 60), x, x)
    assert explained_by_model(none.sums(60))["validation_reconstruction"] is None


FIGURES = {
    "batch_share": 0.01,
    "batch_share_of_products": 0.03,
    "batch_probe": 0.02,
    "type_separation": 0.5,
}
MODEL = {"reconstruction": 0.3, "means_reconstruction": 0.25}


@pytest.mark.parametrize(
    ("after", "model", "value", "reason"),
    [
        ({}, {}, 0.98, ""),
        ({"batch_share": -0.05}, {}, 1.0, ""),
        ({"batch_probe": 0.32}, {}, 0.88, ""),
        ({"batch_share": None}, {}, None, "no cell type could be compared"),
        ({}, {"reconstruction": -0.2}, 0.0, "reconstructs -0.200"),
        ({}, {"reconstruction": 0.02}, 0.0, "it has learned nothing"),
        ({}, {"reconstruction": None}, 0.0, "reconstructs nothing"),
        ({"type_separation": 0.2}, {}, 0.0, "before by 0.500: they were mixed"),
        ({"type_separation": None}, {}, 0.0, "they were mixed"),
        ({}, {"means_reconstruction": -0.1}, 0.98, ""),
    ],
)
def test_a_score_knows_what_is_no_correction(after, model, value, reason):
    found = score(FIGURES | after, FIGURES, MODEL | model)
    assert found["value"] == (value if value is None else pytest.approx(value))
    assert reason in found["reason"]
