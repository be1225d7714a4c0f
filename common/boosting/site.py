"""At a site: sums of its cells' gradients in the bins of the nodes that are asked for."""

import numpy as np
import scipy.sparse as sp

from common.boosting.bins import BinEdges
from common.boosting.forest import Forest
from common.boosting.gradients import check_fits, softmax_gradients
from common.boosting.request import Request
from common.errors import InputError

# Cells at a time: a row of gradients for each, and eight bytes for each value above zero.
BLOCK = 16384


class BoostingSite:
    """A site's labelled training cells.

    Parameters
    ----------
    codes
        :meth:`common.boosting.bins.BinEdges.bin_cells` of them, (n_cells, n_genes).
    labels
        Index of each cell's class, (n_cells,); may be none at all.
    edges
        The agreed bins.
    known
        Margins (n_classes, n_cells) after the rounds of a forest, as an earlier answer left them
        here: they are not added up anew for a forest that begins with these rounds.

    Raises
    ------
    InputError
        A label for every cell is wanted, from 0.
    """

    def __init__(
        self,
        codes: sp.csr_matrix,
        labels: np.ndarray,
        edges: BinEdges,
        known: tuple[Forest, np.ndarray] | None = None,
    ):
        self.known = known
        self.codes = codes
        self.labels = np.asarray(labels, dtype=np.int64)
        self.edges = edges
        if self.labels.shape != (codes.shape[0],):
            raise InputError(
                f"{codes.shape[0]} cells and labels of shape {self.labels.shape}: give one for each"
            )
        if self.labels.min(initial=0) < 0:
            raise InputError("a cell has no label: give labelled cells alone")

    def answer(self, request: Request) -> np.ndarray:
        """This site's part of the sums.

        Traffic: 8 bytes for each slot and bin above zero, (n_slots x (n_bins + 1)) words of the
        ring. A level has one slot for each class at the root, and below it one for each pair of
        siblings: 2^(d - 1) at most for each class at depth d. With 10 classes, 2,000 genes and 16
        bins above zero that is 2.6 MB a slot of all classes; a round of depth 3 sums four
        (1 + 1 + 2), 10 MB.

        Returns
        -------
        sums
            uint64 (n_slots, n_bins + 1), packed as ``common/boosting/gradients.py`` says; the
            last column sums over all cells of the node, whatever their bin.

        Raises
        ------
        InputError
            A label is not one of the request's classes.
        RingError
            The agreed grid does not fit this site's cells.
        """
        n_classes = request.forest.n_classes
        if self.labels.max(initial=0) >= n_classes:
            raise InputError(
                f"a cell's class is number {self.labels.max()} and the request has {n_classes}"
            )
        weights = request.class_weight.astype(np.float64)[self.labels]
        check_fits(weights, request.fraction_bits)
        n_finished = request.forest.n_rounds - 1
        margins = self._margins(request.forest.rounds(0, n_finished))
        gradients = softmax_gradients(margins, self.labels, weights, request.fraction_bits)
        growing = request.forest.rounds(n_finished, n_finished + 1)
        nodes = self._nodes(growing)
        # The class that each slot's tree is for.
        of_class = growing.tree_class[request.slot_tree]

        def of_slots(rows: slice) -> np.ndarray:
            inside = nodes[request.slot_tree, rows] == request.slot_node[:, None]
            return np.where(inside, gradients[of_class, rows], 0).T

        edges, codes = self.edges, self.codes
        if len(request.genes) < edges.n_genes:
            edges, codes = edges.of(request.genes), codes[:, request.genes]
        return bin_sums(codes, edges, of_slots, len(of_class)).view(np.uint64)

    def _margins(self, finished: Forest) -> np.ndarray:
        """Margins after the finished rounds; those of the request before are not added anew."""
        done, margins = 0, None
        if self.known is not None:
            known, margins = self.known
            if _begins_with(finished, known):
                done = known.n_rounds
                if done == finished.n_rounds:
                    return margins
        if not done:
            n_cells = len(self.labels)
            margins = np.repeat(finished.base_margin[:, None], n_cells, axis=1)
        new = finished.rounds(done, finished.n_rounds)
        if new.n_trees:
            margins = margins.copy()
            new.add_to(margins, self.codes, self._cuts(new))
        self.known = finished, margins
        return margins

    def _nodes(self, growing: Forest) -> np.ndarray:
        """Where each cell is in the growing trees, (n_trees, n_cells)."""
        nodes = np.zeros((growing.n_trees, len(self.labels)), dtype=np.int16)
        for rows, part in growing.end_nodes(self.codes, self._cuts(growing)):
            nodes[:, rows] = part
        return nodes

    def _cuts(self, forest: Forest) -> np.ndarray:
        """The least code that goes right, uint8 of the thresholds' shape."""
        return self.edges.codes(np.maximum(forest.gene, 0), forest.threshold)


def _begins_with(forest: Forest, known: Forest) -> bool:
    """Whether the first trees of a forest are those of another."""
    if not 0 < known.n_rounds <= forest.n_rounds:
        return False
    if not np.array_equal(forest.base_margin, known.base_margin):
        return False
    first = forest.rounds(0, known.n_rounds)
    return all(
        np.array_equal(getattr(first, name), getattr(known, name))
        for name in ("gene", "threshold", "value", "tree_class")
    )


def bin_sums(codes: sp.csr_matrix, edges: BinEdges, words_of, n_slots: int) -> np.ndarray:
    """Sums of words over the cells in each bin above zero.

    Parameters
    ----------
    codes
        uint8 without stored zeros, (n_cells, n_genes).
    words_of
        Gives the words of a slice of cells, int64 (n_cells_of_slice, n_slots).

    Returns
    -------
    sums
        int64 (n_slots, n_bins + 1); the last is over all cells.
    """
    before = edges.starts[:-1] - 1
    sums = np.zeros((edges.n_bins + 1, n_slots), dtype=np.int64)
    for start in range(0, codes.shape[0], BLOCK):
        rows = slice(start, min(start + BLOCK, codes.shape[0]))
        block, words = codes[rows], words_of(rows)
        flat = before[block.indices] + block.data
        # Sparse cells x bins: each value above zero is a one in its bin.
        one_hot = sp.csr_matrix(
            (np.ones(len(flat), dtype=np.int64), flat, block.indptr),
            shape=(block.shape[0], edges.n_bins),
        )
        sums[:-1] += one_hot.T @ np.ascontiguousarray(words)
        sums[-1] += words.sum(axis=0)
    return np.ascontiguousarray(sums.T)
