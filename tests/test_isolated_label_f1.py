"""Isolated-label F1 against scikit-learn's F1 of every cluster at every resolution."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from common.metrics.embedded import Embedded
from tests.embedded_cells import overlapping, planted, score, without_some_types


@pytest.fixture(scope="module")
def cells():
    return overlapping()


def f1_by_loop(embedded, name):
    """The highest F1 over all clusters of the typed cells at all resolutions."""
    is_type = embedded.cell_type[embedded.typed] == name
    return max(
        f1_score(is_type, clusters[embedded.typed] == cluster)
        for clusters in embedded.clusterings.values()
        for cluster in np.unique(clusters)
        if (clusters[embedded.typed] == cluster).any()
    )


def test_equals_scikit_learn_over_all_clusters(cells):
    result = score("isolated_label_f1", cells)
    expected = f1_by_loop(cells, "DC")
    assert result.per_type == {"B": None, "DC": pytest.approx(expected), "NK": None, "T": None}
    assert result.value == pytest.approx(expected)
    assert 0.4 < expected < 0.999


def test_is_the_mean_over_the_types_of_the_fewest_batches(cells):
    """Of three batches B and NK are in two, T and DC in three: B and NK are isolated."""
    batch = np.tile(["x", "y", "z"], 80)
    batch[np.isin(cells.cell_type, ["B", "NK"]) & (batch == "z")] = "x"
    embedded = Embedded(cells.x, batch, cells.cell_type)
    expected = {name: f1_by_loop(embedded, name) for name in ("B", "NK")}
    result = score("isolated_label_f1", embedded)
    assert result.per_type == pytest.approx(expected | {"DC": None, "T": None})
    assert result.value == pytest.approx(np.mean(list(expected.values())))


def test_it_depends_on_the_embedding_and_on_types_by_batches_not_on_their_size():
    """Where the isolated type lies apart it is found; among the others it is not."""
    rng = np.random.default_rng(1)
    cell_type = np.repeat(["large", "small", "isolated"], [300, 20, 80])
    batch = np.tile(["x", "y"], 200)
    batch[cell_type == "isolated"] = "x"
    x = rng.normal(size=(400, 4))
    mixed = score("isolated_label_f1", Embedded(x, batch, cell_type))
    x[cell_type == "isolated"] += 30
    apart = score("isolated_label_f1", Embedded(x, batch, cell_type))
    assert apart.value == pytest.approx(1)
    assert mixed.value < 0.5
    assert [name for name, f1 in apart.per_type.items() if f1 is not None] == ["isolated"]


def test_cells_without_a_type_are_in_clusters_and_not_in_scores(cells):
    partly = without_some_types(cells)
    result = score("isolated_label_f1", partly)
    assert result.value == pytest.approx(f1_by_loop(partly, "DC"))


def test_types_that_all_batches_hold_are_not_isolated():
    result = score("isolated_label_f1", planted(batch_shift=0, type_shift=30, n=60))
    assert result.value is None
    assert "no cell type is isolated" in result.reason
