"""The federated forest is the pooled one bit for bit, however cells lie at the sites."""

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from common.boosting.bins import BinEdges, chosen_edges, public_grid, site_bin_counts
from common.boosting.forest import Forest
from common.boosting.grower import Boosting, Grower, grow
from common.boosting.request import Request
from common.boosting.site import BoostingSite
from common.boosting.splits import Rules
from common.boosting.xgboost_json import from_json, to_json
from common.errors import ConfigError, InputError, RingError, WireError
from common.secure.ring import add
from tests.boosting_cells import QUICK, accuracy, assert_same, cells, forest_of

EXPRESSION, LABELS = (part[:300] for part in cells(n_cells=600))
EDGES = BinEdges.alike(12)
POOLED = forest_of(EXPRESSION, LABELS, EDGES)


def sites(*rows, labels=LABELS, edges=EDGES, expression=EXPRESSION):
    codes = edges.bin_cells(expression)
    return [BoostingSite(codes[r], labels[r], edges) for r in rows]


def grower(boosting=QUICK, edges=EDGES, **settings):
    return Grower(edges, np.bincount(LABELS), boosting, **settings)


def test_the_trees_learn():
    assert accuracy(POOLED, EXPRESSION, LABELS) > 0.9
    assert (POOLED.gene[:, 0] >= 0).all()
    new, labels = (part[300:] for part in cells(n_cells=600))
    assert accuracy(POOLED, new, labels) > 0.8


@settings(max_examples=20, deadline=None)
@given(
    site_of_cell=st.lists(st.integers(0, 4), min_size=300, max_size=300),
    boosting=st.builds(
        Boosting,
        st.builds(
            Rules,
            eta=st.sampled_from([0.3, 1.0]),
            max_depth=st.integers(1, 4),
            reg_lambda=st.sampled_from([0.0, 1.0]),
            min_child_weight=st.sampled_from([0.0, 1.0, 5.0]),
        ),
        rounds=st.just(2),
        gene_share=st.sampled_from([0.3, 1.0]),
    ),
    class_weight=st.sampled_from([None, np.array([1.0, 0.3, 4.5])]),
)
def test_however_cells_are_dealt_the_forest_is_the_pooled_one(site_of_cell, boosting, class_weight):
    rows = [np.flatnonzero(np.array(site_of_cell) == site) for site in range(5)]
    dealt = forest_of(EXPRESSION, LABELS, EDGES, boosting, rows, class_weight)
    pooled = forest_of(EXPRESSION, LABELS, EDGES, boosting, None, class_weight)
    assert_same(dealt, pooled)


def test_an_empty_site_and_sites_of_one_class_change_nothing():
    by_class = [np.flatnonzero(label == LABELS) for label in range(3)]
    nobody = np.array([], dtype=int)
    assert_same(forest_of(EXPRESSION, LABELS, EDGES, QUICK, [*by_class, nobody]), POOLED)


def test_masks_that_cancel_leave_the_forest_as_it_is():
    rng = np.random.default_rng(0)
    growing, three = grower(), sites(*np.split(np.arange(300), [40, 200]))
    while (request := growing.request()) is not None:
        parts = [site.answer(request) for site in three]
        masks = [rng.integers(0, 2**64, parts[0].shape, dtype=np.uint64) for _ in range(3)]
        around = zip(masks, [masks[-1], *masks[:-1]], strict=True)
        growing.step(add([p + a - b for p, (a, b) in zip(parts, around, strict=True)]))
    assert_same(growing.forest, POOLED)


def test_only_the_lighter_of_two_children_is_summed():
    growing, [site] = (
        grower(Boosting(Rules(max_depth=4, min_child_weight=0.1), 1)),
        sites(np.arange(300)),
    )
    seen = []
    while (request := growing.request()) is not None:
        seen.append(list(zip(request.slot_tree.tolist(), request.slot_node.tolist(), strict=True)))
        growing.step(site.answer(request))
    forest = growing.forest
    assert seen[0] == [(0, 0), (1, 0), (2, 0)]
    assert len(seen) == 4
    for tree, node in [slot for level in seen[1:] for slot in level]:
        sibling = node + 1 if node % 2 else node - 1
        assert forest.gene[tree, (node - 1) // 2] >= 0
        assert forest.cover[tree, node] <= forest.cover[tree, sibling]
        assert (tree, sibling) not in [slot for level in seen for slot in level]


def test_a_site_that_forgets_everything_answers_alike_from_arrays():
    growing = grower()
    while (request := growing.request()) is not None:
        arrays = request.to_arrays()
        names = set(arrays)
        assert not any("cover" in name or "gain" in name for name in names)
        anew = sites(np.arange(100), np.arange(100, 300))
        growing.step(add([site.answer(Request.from_arrays(arrays)) for site in anew]))
    assert_same(growing.forest, POOLED)


def test_a_site_does_not_take_another_forest_for_the_one_it_knows():
    [site] = sites(np.arange(300))
    weighted = np.array([1.0, 5.0, 1.0])
    runs = [grower(), grower(class_weight=weighted), grower(Boosting(Rules(max_depth=2), rounds=3))]
    while (requests := [run.request() for run in runs])[0] is not None:
        for run, request in zip(runs, requests, strict=True):
            if request is not None:
                run.step(site.answer(request))
    assert_same(runs[0].forest, POOLED)
    assert_same(runs[1].forest, forest_of(EXPRESSION, LABELS, EDGES, QUICK, class_weight=weighted))


def test_sums_over_fewer_sites_within_a_round_are_refused_and_the_round_begins_anew():
    both = staying, _ = sites(np.arange(200), np.arange(200, 300))
    growing = grower()
    for _ in range(QUICK.rules.max_depth + 1):
        growing.step(add([site.answer(growing.request()) for site in both]))
    assert growing.forest.n_rounds == 1
    with pytest.raises(WireError, match="was a site lost"):
        growing.step(staying.answer(growing.request()))
    growing.restart_round()
    assert growing.forest.n_rounds == 1
    assert_same(grow(growing, both), POOLED)


def test_training_goes_on_from_a_checkpoint_as_if_it_had_not_stopped():
    boosting = Boosting(Rules(max_depth=2), rounds=4, gene_share=0.5)
    whole = grow(grower(boosting), sites(np.arange(300)))
    first = grow(grower(replace(boosting, rounds=1)), sites(np.arange(300)))
    model = json.loads(json.dumps(to_json(first, [""] * 12, [""] * 3)))
    checkpoint, *_ = from_json(model)
    rest = grower(replace(boosting, rounds=3), start=checkpoint)
    assert_same(grow(rest, sites(np.arange(80), np.arange(80, 300))), whole)


def test_sums_of_another_shape_are_refused():
    growing = grower()
    n_bins = EDGES.kept[:, 0].sum() * 32
    with pytest.raises(WireError, match=rf"expected \(3, {n_bins + 1}\)"):
        growing.step(np.zeros((3, 7), dtype=np.uint64))


def test_ties_go_to_the_first_gene_and_the_lowest_edge():
    dense = np.zeros((40, 4), dtype=np.float32)
    labels = np.repeat([0, 1], 20)
    # Three genes that part the classes alike, one of them the other way round.
    dense[:, 1] = np.where(labels == 0, 2.0, 0.9)
    dense[:, 2] = dense[:, 3] = np.where(labels == 0, 0.9, 3.0)
    for order in ([0, 1, 2, 3], [0, 3, 2, 1]):
        forest = forest_of(sp.csr_matrix(dense[:, order]), labels, BinEdges.alike(4), QUICK)
        assert set(forest.gene[:, 0]) == {1}
        # The first edge above 0.9.
        np.testing.assert_allclose(forest.threshold[:, 0], 1.0)


def test_a_node_of_one_class_is_a_leaf():
    dense = np.zeros((60, 3), dtype=np.float32)
    labels = np.repeat([0, 1], 30)
    dense[labels == 1, 0] = 2.0
    dense[:, 1:] = np.random.default_rng(0).uniform(0.1, 5, (60, 2))
    rules = Rules(max_depth=3, min_child_weight=0.0)
    forest = forest_of(sp.csr_matrix(dense), labels, BinEdges.alike(3), Boosting(rules, rounds=4))
    assert (forest.gene[:, 0] == 0).all()
    assert (forest.gene[:, 1:] == -1).all()
    assert accuracy(forest, sp.csr_matrix(dense), labels) == 1


def test_a_gene_without_expression_costs_nothing_and_a_class_without_cells_is_never_likely():
    edges = chosen_edges(site_bin_counts(EXPRESSION, public_grid()), public_grid(), 16)
    growing = Grower(edges, np.array([*np.bincount(LABELS), 0]), QUICK)
    request = growing.request()
    assert 11 not in request.genes
    assert len(request.genes) == 11
    codes = edges.bin_cells(EXPRESSION)
    two = [BoostingSite(codes[r], LABELS[r], edges) for r in (slice(0, 70), slice(70, None))]
    assert two[0].answer(request).shape == (4, edges.n_bins + 1)
    forest = grow(growing, two)
    assert (forest.gene != 11).all()
    assert forest.probabilities(EXPRESSION)[:, 3].max() < 1e-4
    assert accuracy(forest, EXPRESSION, LABELS) > 0.9


def test_fewer_genes_a_round_are_drawn_alike_and_cost_less():
    boosting = replace(QUICK, gene_share=0.25, seed=3)
    first, second = grower(boosting), grower(boosting)
    [site] = sites(np.arange(300))
    drawn = []
    while (request := first.request()) is not None:
        np.testing.assert_array_equal(request.genes, second.request().genes)
        sums = site.answer(request)
        assert sums.shape[1] == 3 * 32 + 1
        drawn.append(tuple(request.genes))
        first.step(sums)
        second.step(sums)
    assert len(set(drawn)) == 3
    for tree, gene in zip(*np.nonzero(first.forest.gene >= 0), strict=True):
        used = first.forest.gene[tree, gene]
        assert used in sorted(set(drawn), key=drawn.index)[tree // 3]


def test_margins_are_the_leaves_that_a_walk_ends_in():
    dense = EXPRESSION.toarray()
    margins = POOLED.margins(EXPRESSION)
    for cell in range(0, 300, 17):
        expected = POOLED.base_margin.copy()
        for tree, of_class in enumerate(POOLED.tree_class):
            node = 0
            while (gene := POOLED.gene[tree, node]) >= 0:
                node = 2 * node + 1 + (dense[cell, gene] >= POOLED.threshold[tree, node])
            expected[of_class] += POOLED.value[tree, node]
        np.testing.assert_array_equal(margins[:, cell], expected)
    many = sp.vstack([EXPRESSION] * 40).tocsr()
    np.testing.assert_array_equal(POOLED.margins(many), np.tile(margins, 40))


def test_rounds_part_and_join():
    parts = [POOLED.rounds(index, index + 1) for index in range(3)]
    assert_same(parts[0].followed_by(*parts[1:]), POOLED)
    deeper = forest_of(EXPRESSION, LABELS, EDGES, Boosting(Rules(max_depth=5), rounds=1))
    joined = POOLED.followed_by(deeper)
    assert (joined.max_depth, joined.n_rounds) == (5, 4)
    steps = deeper.margins(EXPRESSION) - deeper.base_margin[:, None]
    np.testing.assert_allclose(
        joined.margins(EXPRESSION), POOLED.margins(EXPRESSION) + steps, atol=1e-6
    )


def test_bad_input_is_refused():
    [site] = sites(np.arange(300))
    with pytest.raises(InputError, match="one for each"):
        BoostingSite(site.codes, LABELS[:5], EDGES)
    with pytest.raises(InputError, match="no label"):
        BoostingSite(site.codes, np.where(LABELS == 1, -1, LABELS), EDGES)
    with pytest.raises(InputError, match="class is number 2 and the request has 2"):
        site.answer(Grower(EDGES, np.array([5, 295]), QUICK).request())
    with pytest.raises(RingError, match="agreed number of cells"):
        site.answer(Grower(EDGES, np.array([1, 1, 1]), QUICK).request())
    with pytest.raises(ConfigError, match="two or more"):
        Grower(EDGES, np.array([300]), QUICK)
    with pytest.raises(ConfigError, match="keeps a bin edge"):
        grower(edges=BinEdges(public_grid(), np.zeros((12, 32), dtype=bool)))
    with pytest.raises(ConfigError, match="max-depth = 13"):
        grower(Boosting(Rules(max_depth=13)))
    with pytest.raises(ConfigError, match="gene-share"):
        Boosting(gene_share=0.0)
    with pytest.raises(ConfigError, match="rounds"):
        Boosting(rounds=0)
    with pytest.raises(InputError, match="5 genes, and a forest for 12"):
        POOLED.margins(EXPRESSION[:, :5])
    with pytest.raises(InputError, match="cannot follow"):
        POOLED.followed_by(Forest.empty(np.zeros(2), 12, 3))
