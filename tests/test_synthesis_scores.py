"""Figures of synthetic records: exact where they are known."""

import numpy as np
import pytest

from common.synthesis.scores import correlation_mae, mean_wasserstein, tstr


def test_classes_far_apart_are_all_told_and_swapped_ones_none():
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 1], 50)
    values = 10 * classes[:, None] + rng.normal(size=(100, 5))
    assert tstr(values, classes, values, classes).accuracy == 1
    assert tstr(values, classes, values, 1 - classes).macro_f1 == 0


def test_a_shift_is_its_own_wasserstein_distance():
    values = np.random.default_rng(0).normal(size=(40, 3))
    assert mean_wasserstein(values, values + np.arange(1, 4)) == pytest.approx(2)
    assert mean_wasserstein(values, values[::-1]) == 0


def test_correlations_differ_by_what_was_turned_round():
    x = np.random.default_rng(0).normal(size=(50, 1))
    same, turned = np.hstack([x, x, np.ones((50, 1))]), np.hstack([x, -x, x])
    assert correlation_mae(same, turned) == pytest.approx(2)
    assert correlation_mae(same, same) == 0
