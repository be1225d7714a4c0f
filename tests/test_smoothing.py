"""Cells moved towards their neighbours, against a loop over cells, and what must not move."""

import numpy as np
import pytest

from common import smoothing
from common.smoothing import smoothed
from tests.expression import CPU
from tests.pooled import smoothed as by_loop


@pytest.fixture
def latent():
    return np.random.default_rng(0).normal(size=(157, 6)).astype(np.float32)


def test_equals_a_loop_over_cells(latent, monkeypatch):
    monkeypatch.setattr(smoothing, "CHUNK", 20)
    batches = np.array(["a"] * 90 + ["b"] * 60 + ["c"] * 4 + ["d"] * 2 + ["e"])
    found = smoothed(latent, batches, 0.4, CPU)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_loop(latent, batches, 0.4), atol=1e-6)
    assert np.abs(found[:150] - latent[:150]).max() > 0.01
    np.testing.assert_array_equal(found[-1], latent[-1])


def test_no_share_moves_nothing(latent):
    np.testing.assert_array_equal(smoothed(latent, np.full(157, "a"), 0.0, CPU), latent)


def test_neighbours_are_of_the_same_batch(latent):
    twice = np.concatenate([latent, latent])
    batches = np.repeat(["a", "b"], 157)
    alone = smoothed(latent, np.full(157, "a"), 0.5, CPU)
    np.testing.assert_array_equal(smoothed(twice, batches, 0.5, CPU)[:157], alone)


def test_a_rare_type_is_not_drawn_to_a_common_one():
    """Three cells far from all others: two of their five neighbours are of the other type."""
    rng = np.random.default_rng(1)
    common = rng.normal(size=(300, 4))
    rare = rng.normal(size=(3, 4)) + np.array([30.0, 0, 0, 0])
    latent = np.concatenate([common, rare])
    moved = smoothed(latent, np.full(303, "a"), 0.4, CPU)
    assert np.abs(moved[300:].mean(axis=0) - rare.mean(axis=0)).max() < 0.1
    # The same way in full would be 30 units x 0.4 x 3 of 5 neighbours.
    assert moved[300:, 0].min() > 28


def test_a_lone_outlier_stays():
    latent = np.concatenate([np.random.default_rng(2).normal(size=(200, 3)), [[50.0, 0, 0]]])
    moved = smoothed(latent, np.full(201, "a"), 0.4, CPU)
    assert abs(moved[-1, 0] - 50) < 0.1


def test_cells_on_one_point_stay_finite():
    latent = np.zeros((40, 3), dtype=np.float32)
    latent[20:] = 1.0
    np.testing.assert_array_equal(smoothed(latent, np.full(40, "a"), 0.4, CPU), latent)


def test_a_large_batch_is_searched_in_parts(latent, monkeypatch):
    monkeypatch.setattr(smoothing, "SEARCHED_CELLS", 60)
    batches = np.full(157, "a")
    moved = smoothed(latent, batches, 0.4, CPU)
    np.testing.assert_array_equal(moved, smoothed(latent, batches, 0.4, CPU))
    assert (np.abs(moved - latent).max(axis=1) > 0).all()
