"""A site's cells for training, validation and test: by label, once each, the same for a seed."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from common.data.stratified import stratified_parts
from common.errors import ConfigError

label_lists = st.lists(st.sampled_from(["B", "NK", "T", "None", None]), max_size=150).map(
    lambda labels: np.array(labels, dtype=object)
)
all_shares = st.tuples(st.integers(0, 99), st.integers(0, 99)).filter(lambda s: sum(s) < 100)


@settings(deadline=None)
@given(label_lists, all_shares, st.integers(0, 99))
def test_each_part_has_its_share_of_every_label(labels, percents, seed):
    validation, test = (percent / 100 for percent in percents)
    parts = stratified_parts(labels, validation=validation, test=test, seed=seed)
    rows = np.concatenate([parts.train, parts.validation, parts.test])
    np.testing.assert_array_equal(np.sort(rows), np.arange(len(labels)))
    shares = ((parts.train, 1 - validation - test), (parts.validation, validation))
    for label, n in Counter(labels).items():
        trained = (labels[parts.train] == label).sum()
        assert trained >= 1
        for own, share in (*shares, (parts.test, test)):
            found = (labels[own] == label).sum()
            # Less than a cell off, and one more where training would have had none.
            assert abs(found - n * share) < 1 + (trained == 1) + 1e-6
    again = stratified_parts(labels, validation=validation, test=test, seed=seed)
    np.testing.assert_array_equal(parts.test, again.test)
    np.testing.assert_array_equal(parts.train, again.train)


def test_80_20_as_scikit_learn_divides():
    labels = np.repeat(np.array(["B", "NK", "T"], dtype=object), [500, 100, 10])
    parts = stratified_parts(labels, validation=0, test=0.2, seed=1)
    _, expected = train_test_split(labels, test_size=0.2, stratify=labels, random_state=0)
    assert Counter(labels[parts.test]) == Counter(expected)
    assert len(parts.validation) == 0


@pytest.mark.parametrize(
    ("n", "expected"),
    [(1, (1, 0, 0)), (2, (2, 0, 0)), (3, (2, 0, 1)), (5, (4, 0, 1)), (10, (7, 1, 2))],
)
def test_rare_labels_train_first(n, expected):
    labels = np.full(n, "rare", dtype=object)
    parts = stratified_parts(labels, validation=0.1, test=0.2, seed=0)
    assert tuple(map(len, (parts.train, parts.validation, parts.test))) == expected


def test_cells_are_drawn_at_random():
    labels = np.full(1000, "B", dtype=object)
    tests = [stratified_parts(labels, validation=0, test=0.5, seed=s).test for s in (0, 1)]
    assert 200 < len(np.intersect1d(*tests)) < 300
    assert 440 < tests[0].mean() < 560


@pytest.mark.parametrize(("validation", "test"), [(0.5, 0.5), (-0.1, 0.2), (0.1, -0.1), (0, 1)])
def test_shares_that_leave_nothing_to_train(validation, test):
    with pytest.raises(ConfigError, match="give shares of 0 or more"):
        stratified_parts(np.array(["B"]), validation=validation, test=test, seed=0)
