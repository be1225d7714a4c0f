"""One data set dealt to sites: every cell to one of them, evenly or skewed by label."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.data.deal import deal_cells
from common.errors import ConfigError, InputError

label_lists = st.lists(st.sampled_from(["B", "NK", "T", "", None]), min_size=1, max_size=120).map(
    lambda labels: np.array(labels, dtype=object)
)


@settings(deadline=None)
@given(label_lists, st.integers(1, 8), st.sampled_from([None, 0.1, 1.0, 50.0]), st.integers(0, 99))
def test_every_cell_goes_to_one_site_and_every_site_has_enough(labels, n_sites, alpha, seed):
    least = max(1, len(labels) // (4 * n_sites))
    asked = {"seed": seed, "alpha": alpha, "least_cells": least}
    if len(labels) < n_sites:
        with pytest.raises(InputError, match="too few for"):
            deal_cells(labels, n_sites, **asked)
        return
    try:
        site = deal_cells(labels, n_sites, **asked)
    except ConfigError:
        assert alpha == 0.1
        return
    assert site.shape == labels.shape
    assert set(site) == set(range(n_sites))
    sizes = np.bincount(site)
    assert sizes.min() >= least
    if alpha is None:
        assert np.ptp(sizes) <= 1
    # An array of sites, not of copies: the same again, whatever else was drawn since.
    np.random.default_rng(seed).random()
    np.testing.assert_array_equal(site, deal_cells(labels, n_sites, **asked))


def large(n=20_000):
    return np.array(["B", "NK", "T", "DC"], dtype=object)[np.arange(n) % 4]


def test_another_seed_deals_otherwise():
    labels = large(100)
    for alpha in (None, 0.5):
        one, other = (deal_cells(labels, 5, seed=seed, alpha=alpha) for seed in (0, 1))
        assert (one != other).any()


def test_skewed_sites_get_cells_from_all_over_the_file():
    """A file in the order of its batches would give each site other batches."""
    site = deal_cells(large(), 3, seed=0, alpha=1.0)
    for own in range(3):
        assert np.flatnonzero((site == own) & (large() == "B")).mean() == pytest.approx(
            1e4, rel=0.1
        )


def test_even_sites_have_the_same_labels():
    site = deal_cells(large(), 4, seed=0)
    for own in range(4):
        counts = Counter(large()[site == own])
        assert all(abs(n - 1250) < 150 for n in counts.values())


@pytest.mark.parametrize("alpha", [0.3, 1.0, 10.0])
def test_shares_are_dirichlet_distributed(alpha):
    """Share of a label at a site: mean 1 / K, variance (K - 1) / (K^2 (K alpha + 1))."""
    n_sites, shares = 5, []
    for seed in range(60):
        site = deal_cells(large(4000), n_sites, seed=seed, alpha=alpha)
        shares += [np.bincount(site[large(4000) == t], minlength=5) / 1000 for t in ("B", "T")]
    shares = np.array(shares)
    expected = (n_sites - 1) / (n_sites**2 * (n_sites * alpha + 1))
    np.testing.assert_allclose(shares.mean(), 0.2)
    assert shares.var() == pytest.approx(expected, rel=0.2)


def test_a_lone_cell_of_a_label_may_go_anywhere():
    """Were shares rounded, those of an even deal would lead it to the same site each time."""
    labels = np.append(large(400), np.array([f"rare {i}" for i in range(40)], dtype=object))
    site = deal_cells(labels, 5, seed=0, alpha=1e4)
    assert np.bincount(site[400:], minlength=5).min() >= 3


def test_unlabelled_cells_are_dealt_evenly():
    labels = np.append(large(400), np.full(100, None))
    site = deal_cells(labels, 5, seed=0, alpha=0.2, least_cells=25)
    np.testing.assert_array_equal(np.bincount(site[400:]), np.full(5, 20))
    assert np.bincount(site).min() >= 25
    # Labelled cells alone, one for each site, are too few.
    few = deal_cells(np.append(large(5), np.full(15, None)), 5, seed=0, alpha=50, least_cells=3)
    assert np.bincount(few).min() >= 3
    nobody = deal_cells(np.full(10, None), 5, seed=0, alpha=0.2)
    np.testing.assert_array_equal(np.bincount(nobody), np.full(5, 2))


def test_skew_that_cannot_be_is_refused():
    with pytest.raises(ConfigError, match=r"of 10,000 draws with alpha = 0.01 none .* raise alpha"):
        deal_cells(large(100), 20, seed=0, alpha=0.01, least_cells=4)


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"n_sites": 0}, ConfigError, "0 sites of 1 cells"),
        ({"n_sites": 2, "least_cells": 0}, ConfigError, "2 sites of 0 cells"),
        ({"n_sites": 2, "alpha": 0.0}, ConfigError, "alpha = 0 of"),
        ({"n_sites": 2, "alpha": float("nan")}, ConfigError, "alpha = nan"),
        ({"n_sites": 5, "least_cells": 3}, InputError, "12 cells are too few .* deal to 4 at most"),
    ],
)
def test_bad_input(asked, error, message):
    with pytest.raises(error, match=message):
        deal_cells(large(12), seed=0, **asked)
