"""kBET against a chi-squared test per cell, and against scib-metrics."""

import numpy as np
import pytest
from scipy.stats import chisquare

from common.metrics.embedded import Embedded
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


def neighbourhoods(x, k):
    """(n_cells, k) rows: each cell and its k - 1 nearest."""
    return np.column_stack([np.arange(len(x)), brute_neighbours(x, k - 1)[0]])


def acceptance_by_loop(x, batch, k):
    """The share of cells around which ``scipy.stats.chisquare`` keeps the overall shares."""
    names, counts = np.unique(batch, return_counts=True)
    kept = []
    for rows in neighbourhoods(x, k):
        observed = [(batch[rows] == name).sum() for name in names]
        kept.append(chisquare(observed, counts / counts.sum() * k).pvalue >= 0.05)
    return np.mean(kept)


def test_acceptance_equals_a_test_per_cell(cells):
    expected = acceptance_by_loop(cells.x, cells.batch, 50)
    assert score("kbet", cells).value == pytest.approx(expected, abs=1e-12)
    assert 0.05 < expected < 0.95


def test_acceptance_equals_scib_metrics(cells):
    import scib_metrics
    from scib_metrics.nearest_neighbors import NeighborsResults

    indices = neighbourhoods(cells.x, 50)
    graph = NeighborsResults(indices=indices, distances=np.zeros(indices.shape))
    assert score("kbet", cells).value == pytest.approx(scib_metrics.kbet(graph, cells.batch)[0])


def test_within_types_equals_a_test_per_cell_of_the_type(cells):
    result = score("kbet_per_type", cells)
    expected = {}
    for name in ("B", "NK", "T"):
        own = cells.cell_type == name
        # 60 cells of three batches: a quarter of the mean batch is 5, and at least 10 are taken.
        expected[name] = acceptance_by_loop(cells.x[own], cells.batch[own], 10)
    assert result.per_type == pytest.approx(expected | {"DC": None}, abs=1e-12)
    assert result.value == pytest.approx(np.mean(list(expected.values())))
    assert len(set(expected.values())) > 1


@pytest.mark.parametrize(("n", "k"), [(400, 50), (700, 70)])
def test_neighbourhoods_within_types_grow_with_the_batches(n, k):
    rng = np.random.default_rng(5)
    batch = np.tile(["x", "y"], n // 2)
    x = rng.normal(size=(n, 3)) + (batch == "y")[:, None] * 0.4
    result = score("kbet_per_type", Embedded(x, batch, np.full(n, "A")))
    assert result.value == pytest.approx(acceptance_by_loop(x, batch, k), abs=1e-12)
    assert abs(result.value - acceptance_by_loop(x, batch, k - 5)) > 1e-3


def test_planted_perfect_mixing():
    embedded = planted(batch_shift=0, type_shift=30)
    assert score("kbet", embedded).value > 0.9
    assert score("kbet_per_type", embedded).value > 0.9


def test_planted_separate_batches():
    embedded = planted(batch_shift=60, type_shift=0)
    assert score("kbet", embedded).value == 0
    assert score("kbet_per_type", embedded).value == 0


def test_types_in_unequal_shares_are_rejected_overall_and_not_within_types():
    """Each type is perfectly mixed; batch "x" has mostly A, batch "y" mostly B."""
    rng = np.random.default_rng(2)
    batch = np.repeat(["x", "y"], 300)
    cell_type = np.where(rng.random(600) < np.where(batch == "x", 0.8, 0.2), "A", "B")
    x = rng.normal(size=(600, 4)) + 30 * (cell_type == "B")[:, None]
    embedded = Embedded(x, batch, cell_type)
    assert score("kbet", embedded).value < 0.2
    assert score("kbet_per_type", embedded).value > 0.9


def test_types_of_fewer_than_30_cells_are_left_out():
    rng = np.random.default_rng(0)
    cell_type = np.array(["A"] * 60 + ["B"] * 30 + ["C"] * 29)
    embedded = Embedded(rng.normal(size=(119, 4)), np.tile(["x", "y"], 60)[:119], cell_type)
    per_type = score("kbet_per_type", embedded).per_type
    assert [name for name, value in per_type.items() if value is None] == ["C"]


def test_cells_without_a_type_count_overall_and_not_within_types(cells):
    partly = without_some_types(cells)
    assert score("kbet", partly).value == score("kbet", cells).value
    only = Embedded(*(v[partly.typed] for v in (cells.x, cells.batch, cells.cell_type)))
    assert score("kbet_per_type", partly).per_type == score("kbet_per_type", only).per_type
