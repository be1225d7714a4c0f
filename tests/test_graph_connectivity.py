"""Graph connectivity against a search through the graph, and against scib-metrics."""

from types import SimpleNamespace

import numpy as np
import pytest

from common.metrics.embedded import Embedded
from tests.embedded_cells import overlapping, planted, score, without_some_types


@pytest.fixture(scope="module")
def cells():
    return overlapping()


def largest_piece(weights, members):
    """The share of ``members`` that a walk along edges among them reaches, at best."""
    edges = {i: set(np.flatnonzero(weights[i])) & set(members) for i in members}
    left, largest = set(members), 0
    while left:
        seen, ahead = set(), [left.pop()]
        while ahead:
            cell = ahead.pop()
            seen.add(cell)
            ahead += edges[cell] - seen
        left -= seen
        largest = max(largest, len(seen))
    return largest / len(members)


def scattered():
    """Three types in no order, too few of each to hang together."""
    rng = np.random.default_rng(4)
    cell_type = rng.choice(["A", "B", "C"], 300, p=[0.8, 0.15, 0.05])
    return Embedded(rng.normal(size=(300, 5)), np.tile(["x", "y"], 150), cell_type)


@pytest.mark.parametrize("make", [overlapping, scattered])
def test_equals_a_walk_through_the_graph(make):
    embedded = make()
    weights = embedded.graph.toarray()
    expected = {
        name: largest_piece(weights, np.flatnonzero(embedded.cell_type == name))
        for name in np.unique(embedded.cell_type)
    }
    result = score("graph_connectivity", embedded)
    assert result.per_type == pytest.approx(expected)
    assert result.value == pytest.approx(np.mean(list(expected.values())))
    if make is scattered:
        assert min(expected.values()) < 0.5


def test_equals_scib_metrics_on_the_symmetric_graph():
    import scib_metrics

    embedded = scattered()
    graph = SimpleNamespace(knn_graph_distances=embedded.graph)
    expected = scib_metrics.graph_connectivity(graph, embedded.cell_type)
    assert score("graph_connectivity", embedded).value == pytest.approx(expected)


def test_planted_types_that_hang_together():
    assert score("graph_connectivity", planted(batch_shift=0, type_shift=30)).value == 1


def test_planted_batches_split_every_type():
    embedded = planted(batch_shift=60, type_shift=30)
    for name, value in score("graph_connectivity", embedded).per_type.items():
        share = (embedded.batch[embedded.cell_type == name] == "x").mean()
        assert value == pytest.approx(max(share, 1 - share))


def test_cells_without_a_type_belong_to_none(cells):
    partly = without_some_types(cells)
    weights = cells.graph.toarray()
    expected = {
        name: largest_piece(weights, np.flatnonzero(partly.cell_type == name))
        for name in ("B", "DC", "NK", "T")
    }
    assert score("graph_connectivity", partly).per_type == pytest.approx(expected)


def test_types_of_one_cell_are_left_out(cells):
    cell_type = np.full(240, "A", dtype=object)
    cell_type[0] = "alone"
    result = score("graph_connectivity", Embedded(cells.x, cells.batch, cell_type))
    assert result.per_type == {"A": 1, "alone": None}
    assert result.value == 1
    every = Embedded(cells.x, cells.batch, np.arange(240).astype(str))
    assert "one cell only" in score("graph_connectivity", every).reason
