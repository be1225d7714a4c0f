"""What all metrics share, and some of them against brute force, scanpy and scib-metrics."""

import math
import re

import numpy as np
import pytest
from scipy.stats import entropy

from common.errors import InputError
from common.metrics import embedded as embedded_module
from common.metrics.embedded import Embedded
from common.metrics.leiden import RESOLUTIONS, leiden_clusterings
from common.metrics.neighbors import connectivities, nearest_neighbours
from common.metrics.registry import METRICS
from tests.embedded_cells import brute_neighbours, overlapping, planted, score, shuffled

NAMES = set(METRICS.names())
LEIDEN = {"ari", "ari_best", "isolated_label_f1", "nmi", "nmi_best"}
# What is undefined with one batch, with one type.
OF_BATCHES = {
    "entropy_of_batch_mixing",
    "entropy_of_batch_mixing_shared",
    "ilisi",
    "isolated_label_f1",
    "kbet",
    "kbet_per_type",
    "principal_component_regression",
    "silhouette_batch",
}
OF_TYPES = (LEIDEN - OF_BATCHES) | {"clisi", "isolated_label_f1", "knn_purity", "silhouette_label"}
# The fewest cells of these; 16 of the others.
LEAST = {"clisi": 91, "ilisi": 91, "kbet": 50}


@pytest.fixture(scope="module")
def cells():
    return overlapping()


def test_neighbours_are_exact_and_exclude_the_cell(cells):
    indices, distances = brute_neighbours(cells.x)
    np.testing.assert_array_equal(cells.neighbours.indices, indices)
    np.testing.assert_allclose(cells.neighbours.distances, distances)


def test_fewer_neighbours_are_the_first_of_the_most(cells):
    for k in (1, 15, 90):
        alone = nearest_neighbours(cells.x, k)
        np.testing.assert_array_equal(cells.nearest(k).indices, alone.indices)
        np.testing.assert_array_equal(cells.nearest(k).distances, alone.distances)
    for k in (0, 91):
        with pytest.raises(ValueError, match=f"k={k}"):
            cells.nearest(k)


def test_duplicated_cells_never_neighbour_themselves():
    x = np.repeat(np.random.default_rng(0).normal(size=(4, 3)), 20, axis=0)
    neighbours = nearest_neighbours(x)
    assert not (neighbours.indices == np.arange(80)[:, None]).any()
    assert connectivities(x, neighbours).shape == (80, 80)


def test_graph_and_clusters_are_computed_once_for_all_metrics(cells, monkeypatch):
    calls = []
    for name in ("nearest_neighbours", "connectivities", "leiden_clusterings"):
        real = getattr(embedded_module, name)

        def counted(*args, real=real, name=name, **options):
            calls.append(name)
            return real(*args, **options)

        monkeypatch.setattr(embedded_module, name, counted)
    fresh = Embedded(cells.x, cells.batch, cells.cell_type)
    for name in NAMES:
        score(name, fresh)
    assert sorted(calls) == ["connectivities", "leiden_clusterings", "nearest_neighbours"]


def test_entropy_equals_a_loop_over_cells(cells):
    indices, _ = brute_neighbours(cells.x)
    names = np.unique(cells.batch)
    expected = np.array(
        [
            entropy([(cells.batch[row] == name).sum() for name in names]) / np.log(3)
            for row in indices
        ]
    )
    result = score("entropy_of_batch_mixing", cells)
    assert result.value == pytest.approx(expected.mean())
    assert result.per_type["DC"] is None
    assert result.per_type["B"] == pytest.approx(expected[cells.cell_type == "B"].mean())
    shared = score("entropy_of_batch_mixing_shared", cells).value
    assert shared == pytest.approx(expected[cells.cell_type != "DC"].mean())
    assert shared != pytest.approx(result.value, abs=1e-3)


def test_purity_equals_a_loop_and_weighs_types_equally():
    rng = np.random.default_rng(1)
    cell_type = np.array(["common"] * 180 + ["rare"] * 20)
    x = rng.normal(size=(200, 3)) + (cell_type == "rare")[:, None] * 0.8
    embedded = Embedded(x, np.tile(["x", "y"], 100), cell_type)
    indices, _ = brute_neighbours(x)
    share = np.array([(cell_type[row] == cell_type[i]).mean() for i, row in enumerate(indices)])
    per_type = {name: share[cell_type == name].mean() for name in ("common", "rare")}
    result = score("knn_purity", embedded)
    assert result.per_type == pytest.approx(per_type)
    assert result.value == pytest.approx(np.mean(list(per_type.values())))
    assert abs(result.value - share.mean()) > 0.05


def test_silhouettes_equal_scib_metrics(cells):
    import scib_metrics

    x = cells.x.astype(np.float32)
    expected = scib_metrics.silhouette_label(x, cells.cell_type)
    assert score("silhouette_label", cells).value == pytest.approx(float(expected), abs=1e-5)
    expected = scib_metrics.silhouette_batch(x, cells.cell_type, cells.batch)
    result = score("silhouette_batch", cells)
    assert result.value == pytest.approx(float(expected), abs=1e-5)
    assert result.per_type["DC"] is None
    assert len(result.per_type) == 4


def test_graph_and_clusters_equal_scanpy(cells):
    import anndata
    import scanpy as sc

    adata = anndata.AnnData(cells.x)
    sc.pp.neighbors(adata, n_neighbors=15, use_rep="X", random_state=0)
    ours = connectivities(cells.x, cells.neighbours)
    assert abs(ours - adata.obsp["connectivities"]).max() < 1e-5
    assert list(cells.clusterings) == [pytest.approx(r) for r in RESOLUTIONS]
    assert len(RESOLUTIONS) == 20
    for resolution in RESOLUTIONS[::3]:
        sc.tl.leiden(
            adata, resolution, flavor="igraph", n_iterations=2, directed=False, random_state=0
        )
        np.testing.assert_array_equal(
            cells.clusterings[resolution], adata.obs["leiden"].astype(int)
        )


def test_clustering_leaves_igraph_on_pythons_generator(cells):
    import random

    import igraph

    leiden_clusterings(connectivities(cells.x, cells.neighbours))
    random.seed(5)
    first = igraph.Graph.Erdos_Renyi(n=30, m=40).get_edgelist()
    random.seed(5)
    assert igraph.Graph.Erdos_Renyi(n=30, m=40).get_edgelist() == first


def rand_index_by_pairs(a, b):
    """Adjusted Rand index from all pairs of cells."""
    i, j = np.triu_indices(len(a), k=1)
    same_a, same_b = a[i] == a[j], b[i] == b[j]
    both, expected = (same_a & same_b).sum(), same_a.sum() * same_b.sum() / len(i)
    return (both - expected) / ((same_a.sum() + same_b.sum()) / 2 - expected)


def mutual_information_by_table(a, b):
    """Mutual information over the arithmetic mean of the entropies."""
    table = np.array([[((a == i) & (b == j)).sum() for j in np.unique(b)] for i in np.unique(a)])
    h_a, h_b, h_ab = entropy(table.sum(1)), entropy(table.sum(0)), entropy(table.ravel())
    return (h_a + h_b - h_ab) / ((h_a + h_b) / 2)


@pytest.mark.parametrize(
    ("name", "compare"), [("ari", rand_index_by_pairs), ("nmi", mutual_information_by_table)]
)
def test_agreement_equals_its_definition(cells, name, compare):
    at_one = compare(cells.cell_type, cells.clusterings[1.0])
    assert score(name, cells).value == pytest.approx(at_one)
    best = max(compare(cells.cell_type, clusters) for clusters in cells.clusterings.values())
    assert score(f"{name}_best", cells).value == pytest.approx(best)
    assert best >= at_one


def test_planted_perfect_mixing_of_separate_types():
    embedded = planted(batch_shift=0, type_shift=30)
    assert score("entropy_of_batch_mixing", embedded).value > 0.93
    assert score("silhouette_batch", embedded).value > 0.95
    assert score("knn_purity", embedded).value == 1
    assert score("ari_best", embedded).value == pytest.approx(1)
    assert score("nmi_best", embedded).value == pytest.approx(1)
    assert score("silhouette_label", embedded).value > 0.9


def test_planted_separate_batches_with_mixed_types():
    embedded = planted(batch_shift=60, type_shift=0)
    assert score("entropy_of_batch_mixing", embedded).value == pytest.approx(0, abs=1e-12)
    assert score("entropy_of_batch_mixing_shared", embedded).value == pytest.approx(0, abs=1e-12)
    assert score("silhouette_batch", embedded).value < 0.1
    assert score("knn_purity", embedded).value == pytest.approx(1 / 3, abs=0.04)
    assert abs(score("ari", embedded).value) < 0.03
    assert score("nmi", embedded).value < 0.05
    assert score("silhouette_label", embedded).value == pytest.approx(0.5, abs=0.03)


def test_entropy_keeps_low_where_only_a_type_of_one_batch_stays_apart(cells):
    x = cells.x.copy()
    x[cells.cell_type == "DC"] += 100
    apart = Embedded(x, cells.batch, cells.cell_type)
    assert (
        score("entropy_of_batch_mixing", apart).value
        < score("entropy_of_batch_mixing_shared", apart).value - 0.1
    )


@pytest.mark.parametrize("name", sorted(NAMES - LEIDEN))
def test_order_of_cells_does_not_matter(cells, name):
    expected, found = score(name, cells), score(name, shuffled(cells))
    # scib-metrics computes LISI in single precision.
    error = 1e-6 if "lisi" in name else 1e-12
    assert found.value == pytest.approx(expected.value, abs=error)
    assert found.per_type == pytest.approx(expected.per_type, abs=error)


@pytest.mark.parametrize("name", ["ari_best", "nmi_best"])
def test_order_of_cells_does_not_matter_to_clear_clusters(name):
    cells = planted(batch_shift=0, type_shift=30, n=150)
    assert score(name, shuffled(cells)).value == score(name, cells).value == pytest.approx(1)


def test_names_of_labels_do_not_matter(cells):
    renamed = Embedded(
        cells.x, np.char.add("b", cells.batch), np.char.add(cells.cell_type, " cell")
    )
    for name in NAMES:
        assert score(name, renamed).value == pytest.approx(score(name, cells).value)


DEGENERATE = {
    "one batch": ({"batch": "x"}, "one batch", OF_BATCHES),
    "one type": ({"cell_type": "B"}, "one cell type only", OF_TYPES),
    "no type": (
        {"cell_type": None},
        "no cell has a cell type",
        NAMES - {"entropy_of_batch_mixing", "ilisi", "kbet", "principal_component_regression"},
    ),
    "15 cells": (
        {"n": 15},
        "at least (16|50|91) cells|two batches and 30 cells",
        NAMES - {"principal_component_regression", "silhouette_batch", "silhouette_label"},
    ),
    "one cell": ({"n": 1}, "", NAMES),
    "constant": ({"x": 3.1}, "constant", NAMES),
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_input_gives_none_and_a_reason(cells, case):
    change, reason, undefined = DEGENERATE[case]
    n = change.get("n", 240)
    x = np.full((n, 4), change["x"]) if "x" in change else cells.x[:n]
    batch = np.full(n, change["batch"]) if "batch" in change else cells.batch[:n]
    cell_type = cells.cell_type[:n]
    if "cell_type" in change:
        cell_type = np.full(n, change["cell_type"], dtype=object)
    embedded = Embedded(x, batch, cell_type)
    results = {name: score(name, embedded) for name in NAMES}
    assert {name for name in NAMES if results[name].value is None} == undefined
    for name in undefined:
        assert re.search(reason, results[name].reason)
    for name in NAMES - undefined:
        assert results[name].reason is None


@pytest.mark.parametrize("n", [16, 49, 50, 90, 91])
def test_the_fewest_cells(cells, n):
    embedded = Embedded(cells.x[:n], cells.batch[:n], cells.cell_type[:n])
    # Of this one each type needs cells enough: see its own tests.
    results = {name: score(name, embedded) for name in NAMES - {"kbet_per_type"}}
    missing = {name for name, result in results.items() if result.value is None}
    assert missing == {name for name, least in LEAST.items() if n < least}
    for name in missing:
        assert f"at least {LEAST[name]} cells" in results[name].reason


def test_each_type_in_one_batch_has_no_shared_scores(cells):
    embedded = Embedded(cells.x, np.char.add("batch of ", cells.cell_type), cells.cell_type)
    for name in ("entropy_of_batch_mixing_shared", "kbet_per_type", "silhouette_batch"):
        assert score(name, embedded).value is None
        assert "two batches" in score(name, embedded).reason
    for name in ("entropy_of_batch_mixing", "ilisi", "principal_component_regression"):
        assert score(name, embedded).value is not None
        assert set(score(name, embedded).per_type.values()) == {None}


@pytest.mark.parametrize("missing", [None, math.nan, "", "nan"])
def test_cells_without_a_type_are_left_out_of_label_metrics(cells, missing):
    cell_type = cells.cell_type.astype(object)
    cell_type[::4] = missing
    typed = np.arange(240) % 4 != 0
    partly = Embedded(cells.x, cells.batch, cell_type)
    only = Embedded(cells.x[typed], cells.batch[typed], cells.cell_type[typed])
    np.testing.assert_array_equal(partly.typed, typed)
    for name in ("silhouette_label", "silhouette_batch"):
        assert score(name, partly).value == pytest.approx(score(name, only).value)
    entropy_all = score("entropy_of_batch_mixing", cells).value
    assert score("entropy_of_batch_mixing", partly).value == pytest.approx(entropy_all)
    at_one = mutual_information_by_table(cells.cell_type[typed], cells.clusterings[1.0][typed])
    assert score("nmi", partly).value == pytest.approx(at_one)
    indices, _ = brute_neighbours(cells.x)
    shares = {name: [] for name in ("B", "DC", "NK", "T")}
    for i in np.flatnonzero(typed):
        around = [cell_type[j] for j in indices[i] if typed[j]]
        shares[cell_type[i]].append(np.mean([name == cell_type[i] for name in around]))
    expected = {name: np.mean(values) for name, values in shares.items()}
    assert score("knn_purity", partly).per_type == pytest.approx(expected)


def test_bad_input_is_refused_with_the_value(cells):
    x, batch, cell_type = cells.x, cells.batch, cells.cell_type
    with pytest.raises(InputError, match=r"\(240,\)"):
        Embedded(x[:, 0], batch, cell_type)
    with pytest.raises(InputError, match=r"batch has shape \(239,\)"):
        Embedded(x, batch[1:], cell_type)
    broken = x.copy()
    broken[4, 2] = np.inf
    with pytest.raises(InputError, match="1 of 240 cells"):
        Embedded(broken, batch, cell_type)
    nameless = batch.astype(object)
    nameless[:2] = None
    with pytest.raises(InputError, match="2 of 240 cells have no batch"):
        Embedded(x, nameless, cell_type)


def test_clustering_works_above_8192_cells():
    rng = np.random.default_rng(0)
    cell_type = rng.choice(["A", "B", "C"], 9000)
    x = rng.normal(size=(9000, 5))
    x[:, 0] += 40 * (cell_type == "A")
    x[:, 1] += 40 * (cell_type == "B")
    embedded = Embedded(x, rng.choice(["x", "y"], 9000), cell_type)
    weights = connectivities(x, embedded.neighbours)
    assert (abs(weights - weights.T) > 1e-6).nnz == 0
    assert np.diff(weights.indptr).min() >= 14
    sources, targets = weights.nonzero()
    assert (cell_type[sources] == cell_type[targets]).all()
