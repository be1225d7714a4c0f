"""Labels of unlabelled cells by their neighbours, against loops and scikit-learn's classifier."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from common import nearest_labels as module
from common.nearest_labels import nearest_labels
from tests.expression import CPU

TYPES = ("B", "NK", "T")


def cells(n_cells=400, share=0.3, seed=0):
    """Overlapping types in two batches, a share of the cells without a label."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n_cells)
    latent = (rng.normal(size=(3, 6))[truth] + rng.normal(size=(n_cells, 6))).astype(np.float32)
    batches = np.where(rng.random(n_cells) < 0.6, "a", "b")
    types = np.array([TYPES[code] for code in truth], dtype=object)
    types[rng.random(n_cells) < share] = None
    return latent, batches, types


def inverse_within(latent, types):
    """S^-1 of labelled cells, by its definition."""
    own = [latent[types == t] - latent[types == t].mean(axis=0) for t in set(types)]
    prior = module.PRIOR_CELLS * latent.shape[1]
    within = np.cov(np.concatenate(own), rowvar=False, bias=True)
    n_cells, sphere = len(latent), np.trace(within) / len(within) * np.eye(len(within))
    return np.linalg.inv((n_cells * within + prior * sphere) / (n_cells + prior))


def by_loop(latent, batches, types, k=5):
    """Label and agreement of each unlabelled cell, one distance after the other."""
    found = {}
    given = np.array([t is not None for t in types])
    latent = latent.astype(float)
    inverse = {
        b: inverse_within(latent[given & (batches == b)], types[given & (batches == b)])
        for b in set(batches)
    }
    for cell in [i for i, t in enumerate(types) if t is None]:
        others = [i for i, t in enumerate(types) if t is not None and batches[i] == batches[cell]]
        apart = {i: latent[cell] - latent[i] for i in others}
        far = {i: float(d @ inverse[batches[cell]] @ d) for i, d in apart.items()}
        near = sorted(others, key=far.get)[:k]
        votes = {t: sum(types[i] == t for i in near) for t in TYPES}
        most = max(votes.values())
        first = next(types[i] for i in near if votes[types[i]] == most)
        found[cell] = first, most / len(near)
    return found


@pytest.mark.parametrize("held_at_once", [module.DISTANCES, 1000])
def test_equal_to_a_loop_over_cells(held_at_once, monkeypatch):
    monkeypatch.setattr(module, "DISTANCES", held_at_once)
    latent, batches, types = cells()
    found = nearest_labels(latent, batches, types, CPU)
    expected = by_loop(latent, batches, types)
    assert 80 < len(expected) < 160
    # Majorities, unanimous votes and ties are all among them.
    assert {agreement for _, agreement in expected.values()} == {0.4, 0.6, 0.8, 1.0}
    for cell in range(len(types)):
        if cell not in expected:
            assert found.cell_types[cell] is None
            assert np.isnan(found.agreement[cell])
        else:
            assert found.cell_types[cell] == expected[cell][0]
            assert found.agreement[cell] == pytest.approx(expected[cell][1])


def test_scikit_learns_classifier_agrees_where_there_is_no_tie():
    latent, batches, types = cells(seed=1)
    found = nearest_labels(latent, batches, types, CPU)
    compared = 0
    for batch in ("a", "b"):
        known = np.array([t is not None for t in types]) & (batches == batch)
        asked = (batches == batch) & ~known
        inverse = inverse_within(latent[known].astype(float), types[known])
        mahalanobis = {"metric": "mahalanobis", "metric_params": {"VI": inverse}}
        classifier = KNeighborsClassifier(5, algorithm="brute", **mahalanobis)
        classifier.fit(latent[known], types[known].astype(str))
        shares = classifier.predict_proba(latent[asked])
        clear = (shares == shares.max(axis=1, keepdims=True)).sum(axis=1) == 1
        predicted = classifier.predict(latent[asked])
        assert predicted[clear].tolist() == found.cell_types[asked][clear].tolist()
        np.testing.assert_allclose(found.agreement[asked], shares.max(axis=1), rtol=1e-6)
        compared += clear.sum()
    assert compared > 80


def test_neighbours_are_of_the_same_batch():
    latent = np.array([[0.0], [0.1], [5.0], [0.0]], dtype=np.float32)
    batches = np.array(["a", "a", "b", "b"])
    found = nearest_labels(latent, batches, np.array(["T", None, "B", None], dtype=object), CPU)
    assert found.cell_types.tolist() == [None, "T", None, "B"]


def test_a_batch_without_labels_gets_none():
    latent, batches, types = cells()
    types[batches == "b"] = None
    found = nearest_labels(latent, batches, types, CPU)
    assert set(found.cell_types[batches == "b"]) == {None}
    assert np.isnan(found.agreement[batches == "b"]).all()
    assert None not in found.cell_types[(batches == "a") & (types == None)]  # noqa: E711


def test_of_labels_that_tie_the_nearest_cells_is_taken():
    latent = np.array([[0.0], [1.0], [2.0], [2.5], [3.0], [9.0]], dtype=np.float32)
    types = np.array([None, "B", "T", "T", "B", "NK"], dtype=object)
    found = nearest_labels(latent, np.full(6, "a"), types, CPU)
    assert found.cell_types[0] == "B"
    assert found.agreement[0] == pytest.approx(0.4)


def test_a_direction_in_which_all_types_vary_does_not_decide():
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, 300)
    depth = 30 * rng.normal(size=300)
    latent = np.stack([depth, truth + 0.1 * rng.normal(size=300)], axis=1).astype(np.float32)
    known = np.where(np.arange(300) < 100, None, np.array(["B", "T"], dtype=object)[truth])
    found = nearest_labels(latent, np.full(300, "a"), known, CPU).cell_types[:100]
    right = found == np.array(["B", "T"])[truth[:100]]
    assert right.mean() > 0.99
    plain = KNeighborsClassifier(5).fit(latent[100:], truth[100:])
    assert plain.score(latent[:100], truth[:100]) < 0.8


def test_types_of_one_cell_each_leave_distances_as_they_are():
    axes = module.within_type_axes(np.array([[0.0, 1.0], [2.0, 5.0]]), np.array([0, 1]))
    np.testing.assert_array_equal(axes, np.eye(2))


def test_fewer_labelled_cells_than_neighbours_are_asked_for():
    latent = np.array([[0.0], [1.0], [-2.0]], dtype=np.float32)
    found = nearest_labels(latent, np.full(3, "a"), np.array([None, "B", "B"], dtype=object), CPU)
    assert (found.cell_types[0], found.agreement[0]) == ("B", 1.0)


def test_no_unlabelled_cell_is_no_work():
    latent, batches, _ = cells()
    found = nearest_labels(latent, batches, np.full(400, "T", dtype=object), CPU)
    assert set(found.cell_types) == {None}


def test_distances_are_never_held_all_at_once(monkeypatch):
    held = []
    cdist = module.torch.cdist
    monkeypatch.setattr(module.torch, "cdist", lambda *both: held.append(cdist(*both)) or held[-1])
    monkeypatch.setattr(module, "DISTANCES", 3000)
    latent, batches, types = cells()
    nearest_labels(latent, batches, types, CPU)
    assert max(distances.numel() for distances in held) <= 3000
    unlabelled = sum(t is None for t in types)
    assert sum(len(distances) for distances in held) == unlabelled
