"""Trees of a boosted classifier as arrays, and what they say of cells."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import scipy.sparse as sp

from common.classification.probabilities import softmax
from common.errors import ConfigError, InputError

MAX_DEPTH = 12
# Cells at a time: their used genes are dense.
BLOCK = 8192


@dataclass(frozen=True)
class Forest:
    """Trees, each as a full binary tree: the children of node i are 2 i + 1 and 2 i + 2.

    A cell goes left where its expression is below the threshold; zero, stored or not, is a value
    like any other.

    Parameters
    ----------
    gene
        Gene of each split, -1 for a leaf or a place without a node; int32 (n_trees, n_nodes).
    threshold
        log1p CP10k, float32, alike.
    value
        What a cell that ends there adds to its class's margin, learning rate included; float32.
    gain, cover
        Gain of each split, and sum of hessians of each node; float32.
    tree_class
        The class whose margin each tree adds to, int32 (n_trees,).
    round_starts
        First tree of each round, and the end of the last; int64 (n_rounds + 1,).
    base_margin
        Where every cell starts, float32 (n_classes,).
    n_genes
        Genes of the matrix that it is for.
    """

    gene: np.ndarray
    threshold: np.ndarray
    value: np.ndarray
    gain: np.ndarray
    cover: np.ndarray
    tree_class: np.ndarray
    round_starts: np.ndarray
    base_margin: np.ndarray
    n_genes: int

    @classmethod
    def empty(cls, base_margin: np.ndarray, n_genes: int, max_depth: int) -> "Forest":
        """No trees yet.

        Raises
        ------
        ConfigError
            A depth that is not between 1 and 12.
        """
        if not 1 <= max_depth <= MAX_DEPTH:
            raise ConfigError(f"max-depth = {max_depth}: give 1 to {MAX_DEPTH}")
        shape = 0, 2 ** (max_depth + 1) - 1
        return cls(
            np.full(shape, -1, dtype=np.int32),
            *(np.zeros(shape, dtype=np.float32) for _ in range(4)),
            np.zeros(0, dtype=np.int32),
            np.zeros(1, dtype=np.int64),
            np.asarray(base_margin, dtype=np.float32),
            n_genes,
        )

    @property
    def n_trees(self) -> int:
        """Trees of all rounds and classes."""
        return len(self.gene)

    @property
    def n_rounds(self) -> int:
        """Boosting rounds."""
        return len(self.round_starts) - 1

    @property
    def n_classes(self) -> int:
        """Classes."""
        return len(self.base_margin)

    @property
    def max_depth(self) -> int:
        """Splits between a root and the deepest leaf there is room for."""
        return self.gene.shape[1].bit_length() - 1

    def one_round(self, tree_class: np.ndarray) -> "Forest":
        """One round of trees of these classes that have no split and no value yet."""
        blank = {
            name: np.repeat(_BLANK[name], len(tree_class) * self.gene.shape[1]).reshape(
                len(tree_class), -1
            )
            for name in _OF_NODES
        }
        starts = np.array([0, len(tree_class)])
        classes = np.asarray(tree_class, dtype=np.int32)
        return replace(self, **blank, tree_class=classes, round_starts=starts)

    def rounds(self, start: int, stop: int) -> "Forest":
        """The trees of some rounds."""
        first, last = self.round_starts[start], self.round_starts[stop]
        arrays = {name: getattr(self, name)[first:last] for name in _OF_TREES}
        starts = self.round_starts[start : stop + 1] - first
        return replace(self, **arrays, round_starts=starts)

    def followed_by(self, *others: "Forest") -> "Forest":
        """Their rounds after these; rooms for different depths become the largest.

        Raises
        ------
        InputError
            They have other genes or another number of classes.
        """
        for other in others:
            if (other.n_genes, other.n_classes) != (self.n_genes, self.n_classes):
                raise InputError(
                    f"trees for {other.n_genes} genes and {other.n_classes} classes cannot follow "
                    f"those for {self.n_genes} and {self.n_classes}"
                )
        depth = max(forest.max_depth for forest in (self, *others))
        parts = [forest.with_room(depth) for forest in (self, *others)]
        arrays = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in _OF_TREES
        }
        starts = [part.round_starts[1:] for part in parts]
        offsets = np.cumsum([0, *(part.n_trees for part in parts[:-1])])
        shifted = [offset + part for offset, part in zip(offsets, starts, strict=True)]
        return replace(self, **arrays, round_starts=np.concatenate([[0], *shifted]))

    def with_room(self, depth: int) -> "Forest":
        """The same trees in arrays for deeper ones."""
        more = (0, 0), (0, 2 ** (depth + 1) - 1 - self.gene.shape[1])
        arrays = {name: np.pad(getattr(self, name), more) for name in _OF_NODES}
        arrays["gene"] = np.pad(self.gene, more, constant_values=-1)
        return replace(self, **arrays)

    def margins(self, expression: sp.csr_matrix) -> np.ndarray:
        """Sums of leaves before the softmax.

        Parameters
        ----------
        expression
            log1p CP10k, (n_cells, n_genes).

        Returns
        -------
        margins
            float32 (n_classes, n_cells).

        Raises
        ------
        InputError
            Another number of genes.
        """
        if expression.shape[1] != self.n_genes:
            raise InputError(
                f"{expression.shape[1]} genes, and a forest for {self.n_genes}: give its genes"
            )
        out = np.repeat(self.base_margin[:, None], expression.shape[0], axis=1)
        self.add_to(out, expression.astype(np.float32, copy=False), self.threshold)
        return out

    def probabilities(self, expression: sp.csr_matrix) -> np.ndarray:
        """Probability of every class, float64 (n_cells, n_classes); as :meth:`margins`."""
        return softmax(self.margins(expression).T)

    def add_to(self, margins: np.ndarray, matrix: sp.csr_matrix, cuts: np.ndarray) -> None:
        """Add the trees' values, in their order, to ``margins`` (n_classes, n_cells).

        Parameters
        ----------
        matrix
            Expression, or codes of bins.
        cuts
            Thresholds in the matrix's unit and type, (n_trees, n_nodes).
        """
        for rows, nodes in self.end_nodes(matrix, cuts):
            for tree, of_class in enumerate(self.tree_class):
                margins[of_class, rows] += self.value[tree][nodes[tree]]

    def end_nodes(
        self, matrix: sp.csr_matrix, cuts: np.ndarray
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """The node of every tree in which each cell ends, some cells at a time.

        Parameters
        ----------
        matrix, cuts
            See :meth:`add_to`.

        Yields
        ------
        rows
            Which cells.
        nodes
            int64 (n_trees, n_cells_of_rows).
        """
        used = np.unique(self.gene[self.gene >= 0])
        column = np.searchsorted(used, self.gene)
        for start in range(0, matrix.shape[0], BLOCK):
            rows = slice(start, min(start + BLOCK, matrix.shape[0]))
            dense = np.ascontiguousarray(matrix[rows][:, used].toarray().T)
            n_cells = rows.stop - rows.start
            nodes = np.zeros((self.n_trees, n_cells), dtype=np.int64)
            cells = np.arange(n_cells)
            for tree, at in enumerate(nodes):
                splits = np.flatnonzero(self.gene[tree] >= 0)
                if not splits.size:
                    continue
                # Whether a cell would go right at each split, and the split of each node.
                right = dense[column[tree, splits]] >= cuts[tree, splits, None]
                place = np.full(self.gene.shape[1], -1)
                place[splits] = np.arange(len(splits))
                for _ in range(self.max_depth):
                    split = place[at]
                    further = 2 * at + 1 + right[split, cells]
                    np.copyto(at, further, where=split >= 0)
            yield rows, nodes


# What a place without a node holds.
_BLANK = {"gene": np.int32(-1)} | dict.fromkeys(
    ("threshold", "value", "gain", "cover"), np.float32(0)
)
_OF_NODES = tuple(_BLANK)
_OF_TREES = (*_OF_NODES, "tree_class")
FIELDS = tuple(field.name for field in fields(Forest))
