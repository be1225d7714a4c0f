"""iLISI and cLISI against the definition in Korsunsky et al. 2019, solved cell by cell."""

import sys

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import entropy

from common.metrics.embedded import Embedded
from common.metrics.lisi import lisi_per_cell
from tests.embedded_cells import (
    brute_neighbours,
    overlapping,
    planted,
    score,
    without_some_types,
)


@pytest.fixture(scope="module")
def cells():
    return overlapping()


def lisi_by_definition(x, labels):
    """Inverse Simpson index under weights exp(-beta d) of perplexity 30 over 90 neighbours."""
    found = []
    for rows, distances in zip(*brute_neighbours(x, 90), strict=True):
        nearer = distances - distances[0]

        def weights(log_beta, nearer=nearer):
            weight = np.exp(-np.exp(log_beta) * nearer)
            return weight / weight.sum()

        log_beta = brentq(lambda b, w=weights: entropy(w(b)) - np.log(30), -20, 20, xtol=1e-12)
        shares = [weights(log_beta)[labels[rows] == name].sum() for name in np.unique(labels)]
        found.append(1 / np.square(shares).sum())
    return np.array(found)


def test_per_cell_equals_the_definition(cells):
    expected = lisi_by_definition(cells.x, cells.batch)
    np.testing.assert_allclose(lisi_per_cell(cells, cells.batch), expected, rtol=1e-3)
    assert np.ptp(expected) > 0.5


def test_ilisi_is_the_scaled_median(cells):
    lisi = lisi_by_definition(cells.x, cells.batch)
    result = score("ilisi", cells)
    assert result.value == pytest.approx((np.median(lisi) - 1) / 2, abs=1e-3)
    assert abs(result.value - (lisi.mean() - 1) / 2) > 2e-3
    expected = {
        name: (np.median(lisi[cells.cell_type == name]) - 1) / 2 for name in ("B", "NK", "T")
    }
    assert result.per_type == pytest.approx(expected | {"DC": None}, abs=1e-3)


def test_clisi_is_the_scaled_median_turned_round(cells):
    lisi = lisi_by_definition(cells.x, cells.cell_type)
    result = score("clisi", cells)
    assert result.value == pytest.approx((4 - np.median(lisi)) / 3, abs=1e-3)
    expected = {
        name: (4 - np.median(lisi[cells.cell_type == name])) / 3 for name in ("B", "DC", "NK", "T")
    }
    assert result.per_type == pytest.approx(expected, abs=1e-3)


def test_planted_perfect_mixing_of_separate_types():
    embedded = planted(batch_shift=0, type_shift=30)
    assert score("ilisi", embedded).value > 0.9
    assert score("clisi", embedded).value == pytest.approx(1, abs=1e-6)


def test_planted_separate_batches_with_mixed_types():
    embedded = planted(batch_shift=60, type_shift=0)
    assert score("ilisi", embedded).value == pytest.approx(0, abs=1e-6)
    assert score("clisi", embedded).value < 0.2


def test_scores_stay_between_0_and_1():
    for shift in (0, 60):
        embedded = planted(batch_shift=shift, type_shift=60 - shift, n=200)
        for name in ("ilisi", "clisi"):
            assert 0 <= score(name, embedded).value <= 1


def test_clisi_leaves_cells_without_a_type_out_of_the_neighbourhoods(cells):
    partly = without_some_types(cells)
    only = Embedded(*(v[partly.typed] for v in (cells.x, cells.batch, cells.cell_type)))
    assert score("clisi", partly) == score("clisi", only)
    assert score("clisi", partly).value != score("clisi", cells).value
    assert score("ilisi", partly).value == score("ilisi", cells).value


def test_equal_distances_have_no_weights_of_the_perplexity():
    """The corners of a simplex: all are equally far from each other."""
    corners = Embedded(np.eye(120), np.tile(["x", "y"], 60), np.full(120, "A"))
    assert "no cell has neighbours at different distances" in score("ilisi", corners).reason
    # Half of the cells are such corners, 500 apart from the others: the others alone count.
    rng = np.random.default_rng(0)
    x = np.zeros((240, 120))
    x[:120] = np.eye(120)
    x[120:] = rng.normal(size=(120, 120)) + 500
    batch = np.tile(["x", "y"], 120)
    both = Embedded(x, batch, np.full(240, "A"))
    others = Embedded(x[120:], batch[120:], np.full(120, "A"))
    assert np.isnan(lisi_per_cell(both, batch)).sum() == 120
    assert score("ilisi", both).value == pytest.approx(score("ilisi", others).value)


def test_without_scib_metrics_the_reason_says_what_to_install(cells, monkeypatch):
    monkeypatch.setitem(sys.modules, "scib_metrics", None)
    for name in ("ilisi", "clisi"):
        result = score(name, cells)
        assert result.value is None
        assert "pip install scib-metrics" in result.reason
