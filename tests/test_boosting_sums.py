"""A site's sums of gradients, and the split found in them, against plain loops."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from common.boosting.bins import BinEdges, chosen_edges, public_grid, site_bin_counts
from common.boosting.gradients import (
    check_fits,
    class_margins,
    fraction_bits,
    pack,
    softmax_gradients,
    unpack,
)
from common.boosting.site import bin_sums
from common.boosting.splits import Rules, best_split, leaf_value
from common.classification.probabilities import softmax
from common.errors import ConfigError, RingError
from tests.boosting_cells import cells


@given(
    n=st.integers(1, 10**6),
    weight=st.floats(1e-3, 1e3),
    sign=st.sampled_from([-1, 1]),
)
def test_a_total_of_the_largest_gradients_stays_in_its_half_of_the_word(n, weight, sign):
    bits = fraction_bits(n, n * weight)
    word = pack(np.array([sign * weight]), np.array([weight / 2]), bits)
    # Hypothesis cannot make a million cells; n times the word is their sum.
    gradient, hessian = unpack(word * n)
    one = unpack(word)
    assert (gradient[0], hessian[0]) == (one[0][0] * n, one[1][0] * n)
    assert one[0][0] == round(Fraction(sign * weight) * 2**bits)
    assert one[1][0] == round(Fraction(weight / 2) * 2**bits)


def test_gradients_are_the_derivatives_of_the_loss():
    rng = np.random.default_rng(0)
    margins = rng.normal(0, 2, (4, 50))
    labels, weights = rng.integers(0, 4, 50), rng.uniform(0.5, 2, 50)

    def loss(shifted):
        return -weights * np.log(softmax(shifted.T)[np.arange(50), labels])

    bits = fraction_bits(50, weights.sum())
    gradient, hessian = unpack(softmax_gradients(margins, labels, weights, bits))
    for of_class in range(4):
        step = np.zeros((4, 1))
        step[of_class] = 1e-5
        slope = (loss(margins + step) - loss(margins - step)) / 2e-5
        np.testing.assert_allclose(gradient[of_class] * 2.0**-bits, slope, atol=1e-6)
    p = softmax(margins.T).T
    np.testing.assert_allclose(hessian * 2.0**-bits, 2 * p * (1 - p) * weights, atol=1e-6)


def test_a_cells_gradient_does_not_depend_on_its_neighbours():
    rng = np.random.default_rng(1)
    margins, labels = rng.normal(0, 3, (7, 133)).astype(np.float32), rng.integers(0, 7, 133)
    together = softmax_gradients(margins, labels, np.ones(133), 20)
    for cell in range(133):
        one = slice(cell, cell + 1)
        alone = softmax_gradients(margins[:, one].copy(), labels[one], np.ones(1), 20)
        np.testing.assert_array_equal(alone, together[:, one])


@pytest.mark.parametrize("n_cells", [0, 1, 300, 20_000])
def test_sums_by_bin_are_plain_sums(n_cells):
    rng = np.random.default_rng(2)
    expression = sp.random(n_cells, 6, 0.4, "csr", np.float32, rng, lambda n: rng.uniform(0, 7, n))
    edges = chosen_edges(site_bin_counts(expression, public_grid(16)), public_grid(16), 5)
    words = rng.integers(-(2**40), 2**40, (n_cells, 3))
    codes = edges.bin_cells(expression)
    sums = bin_sums(codes, edges, lambda rows: words[rows], 3)
    dense = codes.toarray()
    bins = [
        words[dense[:, gene] == code].sum(axis=0)
        for gene in range(6)
        for code in range(1, edges.kept[gene].sum() + 1)
    ]
    np.testing.assert_array_equal(sums.T, [*bins, words.sum(axis=0)])


RULES = [
    Rules(),
    Rules(reg_lambda=0.0, min_child_weight=0.0),
    Rules(reg_lambda=5.0, min_child_weight=8.0),
    Rules(gamma=12.0),
]


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("seed", range(4))
def test_the_best_split_is_that_of_a_loop_over_cells(rules, seed):
    expression, labels = cells(n_cells=80, n_genes=7, seed=seed)
    edges = BinEdges.alike(7, 12)
    bits = fraction_bits(80, 80)
    rng = np.random.default_rng(seed)
    gradients = pack(rng.normal(0, 0.3, 80) + (labels == 0) - 0.5, rng.uniform(0, 0.5, 80), bits)
    histogram = bin_sums(edges.bin_cells(expression), edges, lambda r: gradients[r, None], 1)[0]
    split = best_split(histogram[:-1], histogram[-1], edges, rules, bits)
    g, h = (part * 2.0**-bits for part in unpack(gradients))
    dense, found = expression.toarray(), None

    def score(mask):
        return np.float32(g[mask].sum() ** 2 / (h[mask].sum() + rules.reg_lambda))

    for gene in range(7):
        for threshold in edges.grid:
            right = dense[:, gene] >= threshold
            if not right.any() or right.all():
                continue
            if min(h[right].sum(), h[~right].sum()) < rules.min_child_weight:
                continue
            gain = score(~right) + score(right) - score(np.ones(80, dtype=bool))
            if gain >= rules.gamma and (found is None or gain > found[0]):
                found = gain, gene, threshold, gradients[right].sum()
    if found is None:
        assert split is None
    else:
        assert (split.gene, split.threshold, split.right) == found[1:]
        np.testing.assert_allclose(split.gain, found[0], rtol=1e-6)


def test_a_large_gamma_or_child_weight_leaves_a_leaf():
    expression, labels = cells(n_cells=80)
    edges = BinEdges.alike(12)
    words = softmax_gradients(np.zeros((3, 80)), labels, np.ones(80), 20)[0]
    *histogram, total = bin_sums(edges.bin_cells(expression), edges, lambda r: words[r, None], 1)[0]
    histogram = np.array(histogram)
    split = best_split(histogram, total, edges, Rules(), 20)
    assert split is not None
    assert best_split(histogram, total, edges, Rules(gamma=float(split.gain)), 20) == split
    for rules in (Rules(gamma=float(split.gain) * 1.001), Rules(min_child_weight=18.0)):
        assert best_split(histogram, total, edges, rules, 20) is None
    value, cover = leaf_value(total, Rules(eta=0.5, reg_lambda=2.0), 20)
    n_first = (labels == 0).sum()
    assert cover == pytest.approx(80 * 4 / 9, rel=1e-5)
    assert value == pytest.approx(-0.5 * (80 / 3 - n_first) / (80 * 4 / 9 + 2), rel=1e-5)
    assert leaf_value(total, Rules(min_child_weight=36.0), 20)[0] == 0


def test_gains_that_are_one_in_single_precision_are_ties():
    edges = BinEdges.alike(2, 1)
    right = (2**27 + np.array([0, 1])) + (2**29 << 32)
    for order in ([0, 1], [1, 0]):
        split = best_split(right[order], np.int64(2**30 << 32), edges, Rules(), 20)
        assert (split.gene, split.right) == (0, right[order][0])


def test_training_starts_at_the_classes_shares():
    margins = class_margins(np.array([50.0, 30.0, 20.0]))
    assert margins.sum() == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(softmax(margins[None])[0], [0.5, 0.3, 0.2], rtol=1e-5)
    assert np.isfinite(class_margins(np.array([5.0, 0.0]))).all()


@pytest.mark.parametrize(("n", "weight"), [(0, 0.0), (5, 0.0), (5, np.inf), (5, 1e10)])
def test_no_cells_or_weights_that_do_not_fit_are_refused(n, weight):
    with pytest.raises(ConfigError, match="weight"):
        fraction_bits(n, weight)


def test_a_site_refuses_a_grid_that_its_own_cells_overflow():
    bits = fraction_bits(100, 100)
    check_fits(np.ones(100), bits)
    with pytest.raises(RingError, match="agreed number of cells"):
        check_fits(np.ones(1000), bits)


@pytest.mark.parametrize(
    "bad", [{"eta": 0.0}, {"eta": 1.5}, {"reg_lambda": -1.0}, {"gamma": np.nan}]
)
def test_rules_out_of_range_are_refused(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        Rules(**bad)
