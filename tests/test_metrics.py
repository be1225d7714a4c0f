"""Integration metrics against brute force, scikit-learn, scanpy and scib-metrics."""

import math

import numpy as np
import pytest
from scipy.stats import entropy

from common.errors import InputError
from common.metrics import embedded as embedded_module
from common.metrics.embedded import Embedded
from common.metrics.leiden import RESOLUTIONS, leiden_clusterings
from common.metrics.neighbors import connectivities, nearest_neighbours
from common.metrics.registry import METRICS

NAMES = {
    "ari",
    "ari_best",
    "entropy_of_batch_mixing",
    "entropy_of_batch_mixing_shared",
    "knn_purity",
    "nmi",
    "nmi_best",
    "silhouette_batch",
    "silhouette_label",
}
LEIDEN = {"ari", "ari_best", "nmi", "nmi_best"}


def score(name, embedded):
    return METRICS.get(name)(embedded)


@pytest.fixture(scope="module")
def cells():
    """Overlapping types, shifted batches, and a type that only batch "x" holds."""
    rng = np.random.default_rng(7)
    cell_type = np.repeat(["B", "NK", "T", "DC"], 60)
    batch = np.tile(["x", "y", "z"], 80)
    batch[cell_type == "DC"] = "x"
    batch[:20] = "x"
    x = rng.normal(size=(240, 6))
    for dim, name in enumerate(["B", "NK", "T", "DC"]):
        x[cell_type == name, dim] += 2.5
    x[batch == "y", 4] += 1.5
    order = rng.permutation(240)
    return Embedded(x[order], batch[order], cell_type[order])


def brute_neighbours(x, k=15):
    distances = np.sqrt(((x[:, None] - x[None]) ** 2).sum(axis=2))
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1)[:, :k], np.sort(distances, axis=1)[:, :k]


def planted(batch_shift, type_shift, n=600):
    rng = np.random.default_rng(3)
    batch, cell_type = rng.choice(["x", "y"], n), rng.choice(["A", "B", "C"], n)
    x = rng.normal(size=(n, 5))
    x[:, 0] += batch_shift * (batch == "y")
    x[:, 1] += type_shift * (cell_type == "B")
    x[:, 2] += type_shift * (cell_type == "C")
    return Embedded(x, batch, cell_type)


def test_neighbours_are_exact_and_exclude_the_cell(cells):
    indices, distances = brute_neighbours(cells.x)
    np.testing.assert_array_equal(cells.neighbours.indices, indices)
    np.testing.assert_allclose(cells.neighbours.distances, distances)


def test_duplicated_cells_never_neighbour_themselves():
    x = np.repeat(np.random.default_rng(0).normal(size=(4, 3)), 20, axis=0)
    neighbours = nearest_neighbours(x)
    assert not (neighbours.indices == np.arange(80)[:, None]).any()
    assert connectivities(x, neighbours).shape == (80, 80)


def test_graph_and_clusters_are_computed_once_for_all_metrics(cells, monkeypatch):
    calls = []
    for name in ("nearest_neighbours", "connectivities", "leiden_clusterings"):
        real = getattr(embedded_module, name)

        def counted(*args, real=real, name=name):
            calls.append(name)
            return real(*args)

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
    order = np.random.default_rng(0).permutation(cells.n_cells)
    shuffled = Embedded(cells.x[order], cells.batch[order], cells.cell_type[order])
    assert score(name, shuffled).value == pytest.approx(score(name, cells).value, abs=1e-12)


@pytest.mark.parametrize("name", ["ari_best", "nmi_best"])
def test_order_of_cells_does_not_matter_to_clear_clusters(name):
    cells = planted(batch_shift=0, type_shift=30, n=150)
    order = np.random.default_rng(0).permutation(150)
    shuffled = Embedded(cells.x[order], cells.batch[order], cells.cell_type[order])
    assert score(name, shuffled).value == score(name, cells).value == pytest.approx(1)


def test_names_of_labels_do_not_matter(cells):
    renamed = Embedded(
        cells.x, np.char.add("b", cells.batch), np.char.add(cells.cell_type, " cell")
    )
    for name in NAMES:
        assert score(name, renamed).value == pytest.approx(score(name, cells).value)


DEGENERATE = {
    "one batch": ({"batch": "x"}, "one batch", {n for n in NAMES if "batch" in n}),
    "one type": (
        {"cell_type": "B"},
        "one cell type only",
        NAMES - {n for n in NAMES if "batch" in n},
    ),
    "no type": (
        {"cell_type": None},
        "no cell has a cell type",
        NAMES - {"entropy_of_batch_mixing"},
    ),
    "15 cells": ({"n": 15}, "at least 16 cells", NAMES - {"silhouette_batch", "silhouette_label"}),
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
        assert reason in results[name].reason
    for name in NAMES - undefined:
        assert results[name].reason is None


def test_sixteen_cells_are_enough(cells):
    embedded = Embedded(cells.x[:16], cells.batch[:16], cells.cell_type[:16])
    assert all(score(name, embedded).value is not None for name in NAMES)


def test_each_type_in_one_batch_has_no_shared_scores(cells):
    embedded = Embedded(cells.x, np.char.add("batch of ", cells.cell_type), cells.cell_type)
    for name in ("entropy_of_batch_mixing_shared", "silhouette_batch"):
        assert score(name, embedded).value is None
        assert "two batches" in score(name, embedded).reason
    assert score("entropy_of_batch_mixing", embedded).value is not None


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
