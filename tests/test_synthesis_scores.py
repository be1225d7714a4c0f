"""Each figure of a synthetic cohort against another way to compute it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score
from sklearn.preprocessing import StandardScaler

from common.errors import InputError
from common.synthesis.records import Records
from common.synthesis.scores import mmd
from common.synthesis.scores.correlations import correlation_mae
from common.synthesis.scores.differential import compare_differential, differential
from common.synthesis.scores.discriminator import discriminator_auc
from common.synthesis.scores.figures import FIGURES
from common.synthesis.scores.marginals import kolmogorov_smirnov, wasserstein
from common.synthesis.scores.mixing import lisi
from common.synthesis.scores.prediction import prediction
from common.synthesis.scores.score import score_synthetic
from common.synthesis.scores.space import standardised
from common.synthesis.scores.zero_rates import zero_rate_difference
from tests.small_generators import population


def tied(n, m, n_genes, seed):
    """Whole numbers with many ties, and columns of reals, of unequal sizes."""
    rng = np.random.default_rng(seed)
    return (
        np.column_stack([rng.poisson(1.5, (k, n_genes)), rng.normal(shift, 1, (k, n_genes))])
        for k, shift in ((n, 0), (m, 0.3))
    )


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 150), st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_distances_of_genes_are_scipys_and_the_definitions(n, m, n_genes, seed):
    a, b = tied(n, m, n_genes, seed)
    columns = range(0, 2 * n_genes, max(1, n_genes // 4))
    expected = [stats.wasserstein_distance(a[:, j], b[:, j]) for j in columns]
    np.testing.assert_allclose(wasserstein(a, b)[columns], expected, atol=1e-12)
    expected = [
        max(abs(np.mean(a[:, j] <= v) - np.mean(b[:, j] <= v)) for v in np.append(a[:, j], b[:, j]))
        for j in columns
    ]
    np.testing.assert_allclose(kolmogorov_smirnov(a, b)[columns], expected, atol=1e-12)


def test_zero_rates_are_counted_by_gene():
    a = np.array([[0, 1.0], [0, 0], [2, 0], [0, 3]])
    b = np.array([[0, 0.0], [1, 0]])
    assert zero_rate_difference(a, b) == pytest.approx((0.25 + 0.5) / 2)


def test_correlations_are_numpys_above_the_diagonal():
    a, b = tied(50, 30, 6, 1)
    pairs = [np.corrcoef(x.T) for x in (a, b)]
    gaps = [abs(pairs[0][i, j] - pairs[1][i, j]) for i in range(12) for j in range(i)]
    assert correlation_mae(a, b) == pytest.approx(np.mean(gaps))


def test_a_constant_gene_correlates_with_none():
    a, b = tied(50, 30, 2, 1)
    b[:, 0] = 7.3
    known = np.corrcoef(a.T), np.corrcoef(b[:, 1:].T)
    gaps = [abs(known[0][0, j]) for j in (1, 2, 3)]
    gaps += [abs(known[0][i, j] - known[1][i - 1, j - 1]) for i, j in ((1, 2), (1, 3), (2, 3))]
    assert correlation_mae(a, b) == pytest.approx(np.mean(gaps))


def test_mmd_is_the_mean_over_pairs():
    a, b = (population(n, 4, seed=n).values for n in (15, 11))
    b = b + 0.5
    x, y = standardised(a, a), standardised(b, a)
    both = np.concatenate([x, y])
    h = np.median([np.linalg.norm(both[i] - both[j]) for i in range(26) for j in range(i)])

    def kernel(u, v):
        return np.exp(-(np.linalg.norm(u - v) ** 2) / (2 * h**2))

    def own(z):
        return np.mean([kernel(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j])

    cross = np.mean([kernel(u, v) for u in x for v in y])
    # The median of squares and that of distances are between the same two pairs.
    assert mmd.mmd2(a, b) == pytest.approx(own(x) + own(y) - 2 * cross, rel=2e-2)


def test_mmd_has_no_bias_where_nothing_differs():
    found = [
        mmd.mmd2(*(population(40, 3, seed=2 * i + k).values for k in (0, 1))) for i in range(60)
    ]
    assert abs(np.mean(found)) < 4 * np.std(found) / 60**0.5
    assert min(found) < 0
    shifted = population(40, 3, seed=0).values + 2
    assert mmd.mmd2(population(40, 3, seed=1).values, shifted) > 10 * np.std(found)


def test_lisi_tells_mixed_from_apart():
    a, b = population(120, 30, seed=1).values, population(150, 30, seed=2).values
    assert lisi(a, b) > 0.8
    assert lisi(a, b + 20) < 0.05


def test_a_classifier_tells_what_differs_and_only_that():
    a, b = population(150, 8, seed=1).values, population(250, 8, seed=2).values
    for model in ("logistic", "forest"):
        assert abs(discriminator_auc(a, b, model=model) - 0.5) < 0.12
        assert discriminator_auc(a, b + 2, model=model) > 0.95
    # Variance alone: a plane is blind to it.
    wide = a.mean(axis=0) + 3 * (b - b.mean(axis=0))
    assert discriminator_auc(a, wide, model="logistic") < 0.65
    assert discriminator_auc(a, wide, model="forest") > 0.9


def test_prediction_is_scored_as_sklearn_scores_it():
    train, test = (population(n, 10, seed=n, n_classes=3) for n in (200, 90))
    found = prediction((train.values, train.classes), (test.values, test.classes))
    x, test_x = (one.values - train.values.mean(0) for one in (train, test))
    model = LogisticRegression(max_iter=1000).fit(x, train.classes)
    said = model.predict(test_x)
    assert found["accuracy"] == np.mean(said == test.classes)
    assert found["macro_f1"] == pytest.approx(f1_score(test.classes, said, average="macro"))
    one_hot = np.eye(3)[test.classes]
    aupr = average_precision_score(one_hot, model.predict_proba(test_x), average="macro")
    assert found["macro_aupr"] == pytest.approx(aupr)


def test_a_class_that_the_cohort_lacks_counts_as_missed():
    train, test = (population(200, 10, seed=n, n_classes=3, apart=2.0) for n in (1, 2))
    rows = train.classes != 2
    found = prediction((train.values[rows], train.classes[rows]), (test.values, test.classes))
    share = np.mean(test.classes == 2)
    assert found["accuracy"] <= 1 - share
    assert found["macro_f1"] < 2 / 3
    centred = StandardScaler(with_std=False).fit(train.values[rows])
    model = LogisticRegression(max_iter=1000)
    model.fit(centred.transform(train.values[rows]), train.classes[rows])
    said = model.predict_proba(centred.transform(test.values))
    of_known = [average_precision_score(test.classes == c, said[:, c]) for c in (0, 1)]
    # Of the third that of no knowledge.
    assert found["macro_aupr"] == pytest.approx((sum(of_known) + share) / 3)
    only = prediction((train.values[:5], np.ones(5, int)), (test.values, test.classes))
    assert only["accuracy"] == np.mean(test.classes == 1)


def test_differential_genes_are_those_of_a_loop():
    records = population(80, 12, seed=4, n_classes=3, apart=0.6)
    x, y = records.values, records.classes
    found = differential(x, y, 4)
    assert found.tested.tolist() == [True, True, True, False]
    for c in range(3):
        p = np.array([stats.ttest_ind(g[y == c], g[y != c], equal_var=False).pvalue for g in x.T])
        # Benjamini and Hochberg's step-up rule itself.
        ranked = np.sort(p)
        below = np.flatnonzero(ranked <= 0.05 * np.arange(1, 13) / 12)
        cut = ranked[below[-1]] if len(below) else -1
        np.testing.assert_array_equal(found.called[c], p <= cut)
        np.testing.assert_allclose(found.change[c], x[y == c].mean(0) - x[y != c].mean(0))
    assert 0 < found.called[:3].sum() < 36


def test_differential_comparison_counts_pairs():
    real, other = (population(300, 40, seed=s, apart=0.15) for s in (1, 2))
    a, b = (differential(r.values, r.classes, 2) for r in (real, other))
    found = compare_differential(a, b)
    truth, said = a.called.ravel(), b.called.ravel()
    assert found["de_tpr"] == sum(t and s for t, s in zip(truth, said)) / sum(truth)  # noqa: B905
    assert found["de_fpr"] == sum(s for t, s in zip(truth, said) if not t) / sum(~truth)  # noqa: B905
    slope = np.linalg.lstsq(a.change.reshape(-1, 1), b.change.ravel(), rcond=None)[0][0]
    assert found["lfc_slope"] == pytest.approx(slope)
    itself = compare_differential(a, a)
    assert itself == {"de_tpr": 1, "de_fpr": 0, "de_direction": 1, "lfc_slope": pytest.approx(1)}
    turned = differential(-other.values, other.classes, 2)
    assert compare_differential(a, turned)["lfc_slope"] == pytest.approx(-slope)
    assert compare_differential(a, turned)["de_direction"] < 0.1


@pytest.fixture(scope="module")
def scored():
    train, test = (population(n, 15, seed=n, n_classes=3) for n in (200, 120))
    good = population(160, 15, seed=7, n_classes=3)
    rng = np.random.default_rng(1)
    classes = np.where(good.units % 2, good.classes, rng.permutation(good.classes))
    bad = Records(good.values + 1 + 2 * rng.normal(size=good.values.shape), classes, good.units)
    return (
        train,
        test,
        score_synthetic(train, test, good),
        score_synthetic(train, test, bad),
    )


def test_every_figure_is_there_and_prefers_the_better_cohort(scored):
    _, _, good, bad = scored
    for found in (good, bad):
        assert list(found["synthetic"]) == list(found["real"]) == list(FIGURES)
        assert all(np.isfinite(v) for v in [*found["synthetic"].values(), *found["real"].values()])
    for name, figure in FIGURES.items():
        a, b = good["synthetic"][name], bad["synthetic"][name]
        if figure.better in ("1", "0.5"):
            a, b = -abs(a - float(figure.better)), -abs(b - float(figure.better))
        if figure.better == "lower":
            a, b = -a, -b
        # Of reals none is zero; who finds little also calls little falsely.
        if name not in ("zero_rate", "de_fpr", "de_direction"):
            assert a > b, name


def test_real_records_in_the_place_of_the_cohort(scored):
    train, test, good, _ = scored
    by_hand = prediction((train.values, train.classes), (test.values, test.classes))
    assert good["real"]["logistic_accuracy"] == by_hand["accuracy"]
    assert good["real"]["wasserstein"] == wasserstein(train.values, test.values).mean()
    assert good["n_records"] == {"real": 200, "held out": 120, "synthetic": 160}
    np.testing.assert_allclose(good["per_gene"]["real_mean"], train.values.mean(axis=0))


def test_without_held_out_records_nothing_is_claimed_of_real_ones(scored):
    train, *_ = scored
    found = score_synthetic(train, None, population(60, 15, seed=7, n_classes=3))
    assert set(found["real"].values()) == {None}
    assert found["tested_on"] == "real"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda r: Records(r.values[:, :3], r.classes, r.units), "3 genes and the real ones 15"),
        (lambda r: Records(r.values[:4], r.classes[:4], r.units[:4]), "4 synthetic records"),
        (lambda r: Records(np.where(r.units[:, None] == 1, np.nan, r.values), r.classes, r.units),
         "1 synthetic records hold NaN"),
    ],
)  # fmt: skip
def test_what_cannot_be_scored_is_refused(scored, changed, message):
    train, test, *_ = scored
    with pytest.raises(InputError, match=message):
        score_synthetic(train, test, changed(population(60, 15, seed=7, n_classes=3)))
