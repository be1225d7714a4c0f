"""Class weights and logit offsets from counts, against scikit-learn and Bayes' rule."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from common.classification.class_weights import KINDS, class_weights, logit_offsets
from common.errors import ConfigError, InputError, UpdateError

COUNTS = np.array([40, 9, 1, 10])
counts = st.lists(st.integers(0, 10**6), min_size=1, max_size=8).filter(any).map(np.array)


@settings(deadline=None)
@given(counts)
def test_balanced_is_scikit_learns(counts):
    codes = np.flatnonzero(counts)
    cells = np.repeat(np.arange(len(counts)), np.minimum(counts, 500))
    expected = np.zeros(len(counts))
    expected[codes] = compute_class_weight("balanced", classes=codes, y=cells)
    weights = class_weights(np.bincount(cells, minlength=len(counts)), "balanced")
    np.testing.assert_allclose(weights, expected, rtol=1e-12)


@settings(deadline=None)
@given(counts, st.sampled_from(KINDS), st.floats(0, 0.99999))
def test_cells_weigh_one_on_average_and_a_rarer_class_no_less(counts, kind, beta):
    weights = class_weights(counts, kind, beta=beta)
    assert (weights * counts).sum() == pytest.approx(counts.sum())
    assert ((weights > 0) == (counts > 0)).all()
    present = np.flatnonzero(counts)
    rising = present[np.argsort(counts[present])]
    assert (np.diff(weights[rising]) <= 1e-9 * weights[rising][:-1]).all()


@settings(deadline=None)
@given(counts, st.floats(0.5, 0.9999))
def test_the_effective_number_is_the_papers(counts, beta):
    """Ratios of weights, which its normalisation leaves: E_n = (1 - beta^n) / (1 - beta)."""
    weights = class_weights(counts, "effective", beta=beta)
    present = np.flatnonzero(counts)
    inverse = [(1 - beta) / (1 - beta ** int(counts[c])) for c in present]
    np.testing.assert_allclose(
        weights[present] / weights[present[0]], np.array(inverse) / inverse[0], rtol=1e-6
    )


def test_the_ends_of_effective_are_none_and_balanced():
    counts = np.array([3, 40, 500])
    np.testing.assert_allclose(class_weights(counts, "effective", beta=0), [1, 1, 1])
    near = class_weights(counts, "effective", beta=1 - 1e-12)
    np.testing.assert_allclose(near, class_weights(counts, "balanced"), rtol=1e-6)
    root = class_weights(counts, "sqrt")
    assert root[0] / root[2] == pytest.approx(math.sqrt(500 / 3))


def test_a_weighted_loss_averaged_over_sites_by_cells_is_the_pooled_one():
    rng = np.random.default_rng(0)
    sites = [rng.choice(3, n, p=p) for n, p in ((90, [0.8, 0.1, 0.1]), (30, [0.1, 0.1, 0.8]))]
    losses = [rng.exponential(size=len(codes)) for codes in sites]
    weights = class_weights(sum(np.bincount(c, minlength=3) for c in sites), "balanced")
    pairs = list(zip(sites, losses, strict=True))
    over_sites = sum(len(c) * (weights[c] * loss).mean() for c, loss in pairs) / 120
    pooled = (weights[np.concatenate(sites)] * np.concatenate(losses)).mean()
    assert over_sites == pytest.approx(pooled)
    by_weights = sum(len(c) * np.average(loss, weights=weights[c]) for c, loss in pairs) / 120
    assert by_weights != pytest.approx(pooled, rel=1e-3)


def test_a_pseudo_count_lets_a_lacking_class_be_pushed_down_a_little():
    counts = np.array([40, 9, 0, 11])
    ours = logit_offsets(counts, 0.5, pseudo_count=2)
    np.testing.assert_allclose(np.exp(2 * ours), np.array([42, 11, 2, 13]) / 68)
    pooled = np.array([50, 50, 50, 50])
    ours = logit_offsets(counts, 1.0, pooled, pseudo_count=2)
    np.testing.assert_allclose(np.exp(ours), np.array([42, 11, 2, 13]) / 68 / 0.25)
    # Cells added to a site that holds all of a class do not make it hold more.
    assert np.isfinite(logit_offsets(counts, 1.0, counts, pseudo_count=2)).all()


@pytest.mark.parametrize("pooled", [None, np.array([100, 100, 100, 700])])
def test_offsets_take_a_sites_frequencies_out_by_bayes_rule(pooled):
    """Logits that fit the site with its offsets are, without them, the posterior elsewhere."""
    rng = np.random.default_rng(1)
    likelihood = rng.gamma(1.0, size=(30, 4))
    site = COUNTS / COUNTS.sum() * likelihood
    log_site = np.log(site / site.sum(1, keepdims=True))
    logits = log_site - logit_offsets(COUNTS, 1.0, pooled)
    ours = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    prior = np.full(4, 0.25) if pooled is None else pooled / pooled.sum()
    expected = prior * likelihood
    np.testing.assert_allclose(ours, expected / expected.sum(1, keepdims=True))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: class_weights(np.ones(2), "balance"), ConfigError, "did you mean 'balanced'"),
        (lambda: class_weights(np.ones(2), "effective", beta=1), ConfigError, "beta = 1"),
        (lambda: class_weights(np.zeros(2), "sqrt"), InputError, "no training cell has a label"),
        (lambda: logit_offsets(np.zeros(2)), InputError, "no training cell has a label"),
        (lambda: logit_offsets(COUNTS, pseudo_count=-1), ConfigError, "pseudo-count = -1"),
        (lambda: logit_offsets(COUNTS, 1.0, COUNTS - 1), UpdateError, "than all sites together"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
