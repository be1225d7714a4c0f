"""At the coordinator: trees grown level by level from sums over sites."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from common.boosting.bins import BinEdges
from common.boosting.forest import Forest
from common.boosting.gradients import class_margins, fraction_bits, unpack
from common.boosting.request import Request
from common.boosting.site import BoostingSite
from common.boosting.splits import Rules, best_split, leaf_value, may_split
from common.errors import ConfigError, WireError
from common.secure.ring import add


@dataclass(frozen=True)
class Boosting:
    """A whole training.

    Parameters
    ----------
    rules
        Of each tree.
    rounds
        Rounds of one tree for each class.
    gene_share
        Share of genes, drawn anew for every round, that its trees may split on: traffic falls
        alike (XGBoost's colsample, by rounds).
    seed
        Of these draws, which are public.

    Raises
    ------
    ConfigError
        One is out of its range.
    """

    rules: Rules = field(default_factory=Rules)
    rounds: int = 50
    gene_share: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ConfigError(f"rounds = {self.rounds}: give 1 or more")
        if not 0 < self.gene_share <= 1:
            raise ConfigError(f"gene-share = {self.gene_share}: above 0 and up to 1")


class Grower:
    """The forest, and what is to be summed next: ask :meth:`request`, then :meth:`step`.

    Of two siblings the lighter one is summed, and the other is what is left of their parent. All
    arithmetic up to the gains is on whole numbers: sums over sites and over the pooled cells are
    the same, and so are the trees.

    Parameters
    ----------
    edges
        The agreed bins.
    class_counts
        Training cells of each class over all sites, (n_classes,).
    boosting
        Rounds and rules.
    class_weight
        Weight of a cell of each class; default 1.
    start
        A forest to go on from, of a checkpoint or of other sites; its rounds do not count.

    Raises
    ------
    ConfigError
        Fewer than two classes, no cells, no bins, or weights that do not fit.
    """

    def __init__(
        self,
        edges: BinEdges,
        class_counts: np.ndarray,
        boosting: Boosting,
        class_weight: np.ndarray | None = None,
        start: Forest | None = None,
    ):
        counts = np.asarray(class_counts, dtype=np.float64)
        weight = np.ones(len(counts)) if class_weight is None else np.asarray(class_weight)
        if len(counts) < 2 or len(weight) != len(counts):
            raise ConfigError(f"{len(counts)} classes and {len(weight)} weights: give two or more")
        if not edges.n_bins:
            raise ConfigError("no gene keeps a bin edge: are there expressed genes?")
        self.edges, self.boosting, self.rules = edges, boosting, boosting.rules
        self.class_weight = weight.astype(np.float32)
        weights = counts * self.class_weight
        self.bits = fraction_bits(counts.sum(), weights.sum())
        depth = self.rules.max_depth
        if start is None:
            start = Forest.empty(class_margins(weights), edges.n_genes, depth)
        self.forest = start
        self._end = start.n_rounds + boosting.rounds
        self._begin_round()

    def request(self) -> Request | None:
        """What every site must sum next; None when the forest is grown."""
        if self.forest.n_rounds == self._end:
            return None
        tree, node = (np.array(part, dtype=np.int32) for part in zip(*self._slots, strict=True))
        forest = self.forest.followed_by(self._trees)
        return Request(forest, tree, node, self._genes, self.class_weight, self.bits)

    def step(self, sums: np.ndarray) -> None:
        """Take the sums over sites of what :meth:`request` asks, and grow by a level.

        Parameters
        ----------
        sums
            uint64 (n_slots, n_bins + 1), see :meth:`common.boosting.site.BoostingSite.answer`.

        Raises
        ------
        WireError
            Of another shape, or not over the same cells as the round's first.
        """
        expected = len(self._slots), self._edges.n_bins + 1
        if sums.shape != expected or sums.dtype != np.uint64:
            raise WireError(
                f"sums of shape {sums.shape}, {sums.dtype}; expected {expected}, uint64"
            )
        level = dict(zip(self._slots, sums.view(np.int64), strict=True))
        for slot, known in self._slots.items():
            # A child's total is known from its parent's split, to the last bit.
            if level[slot][-1] != known if known is not None else unpack(level[slot][-1])[1] < 0:
                raise WireError(
                    f"the sums of tree {slot[0]}, node {slot[1]} are not of the cells that the "
                    "round began with: was a site lost or did it answer another request? "
                    "Restart the round"
                )
        for (tree, node), parent in self._parents.items():
            lighter = next(child for child in _children(node) if (tree, child) in level)
            level[tree, _sibling(lighter)] = parent - level[tree, lighter]
        self._parents, self._slots = {}, {}
        for (tree, node), histogram in sorted(level.items()):
            self._grow(tree, node, histogram)
        if not self._slots:
            self.forest = self.forest.followed_by(self._trees)
            self._begin_round()

    def restart_round(self) -> None:
        """Begin the round anew, when all sites are back after one was lost in it.

        Over fewer sites than before, the first sums would show the lost one's by difference.
        """
        self._begin_round()

    def _begin_round(self) -> None:
        n_classes = self.forest.n_classes
        empty = Forest.empty(self.forest.base_margin, self.edges.n_genes, self.rules.max_depth)
        self._trees = empty.one_round(np.arange(n_classes))
        self._genes = self._draw_genes()
        self._edges = self.edges.of(self._genes)
        # The nodes to be summed, and their totals where they are known.
        self._slots: dict[tuple[int, int], np.int64 | None] = {
            (tree, 0): None for tree in range(n_classes)
        }
        self._parents: dict[tuple[int, int], np.ndarray] = {}

    def _draw_genes(self) -> np.ndarray:
        # Genes without bins are not split on: they are neither sent nor drawn.
        genes = np.flatnonzero(self.edges.kept.any(axis=1)).astype(np.int32)
        n_drawn = max(1, round(self.boosting.gene_share * len(genes)))
        if n_drawn == len(genes):
            return genes
        rng = np.random.default_rng([self.boosting.seed, self.forest.n_rounds])
        return np.sort(rng.choice(genes, n_drawn, replace=False))

    def _grow(self, tree: int, node: int, histogram: np.ndarray) -> None:
        """Split a node, or leave it a leaf; note which child is to be summed next."""
        trees, rules, bits = self._trees, self.rules, self.bits
        total = histogram[-1]
        if node == 0:
            trees.value[tree, 0], trees.cover[tree, 0] = leaf_value(total, rules, bits)
        split = best_split(histogram[:-1], total, self._edges, rules, bits)
        if split is None:
            return
        trees.gene[tree, node] = self._genes[split.gene]
        trees.threshold[tree, node] = split.threshold
        trees.gain[tree, node] = split.gain
        children = dict(zip(_children(node), (total - split.right, split.right), strict=True))
        for child, words in children.items():
            trees.value[tree, child], trees.cover[tree, child] = leaf_value(words, rules, bits)
        deepest = 2 * _children(node)[0] + 1 >= trees.gene.shape[1]
        if deepest or not any(may_split(words, rules, bits) for words in children.values()):
            return
        lighter = min(children, key=lambda child: (unpack(children[child])[1], child))
        self._slots[tree, lighter] = children[lighter]
        self._parents[tree, node] = histogram


def _children(node: int) -> tuple[int, int]:
    return 2 * node + 1, 2 * node + 2


def _sibling(node: int) -> int:
    return node + 1 if node % 2 else node - 1


def grow(grower: Grower, sites: Sequence[BoostingSite]) -> Forest:
    """The whole training in one process, over sites that answer at once."""
    while (request := grower.request()) is not None:
        grower.step(add([site.answer(request) for site in sites]))
    return grower.forest
