"""A round of trees as whole words of the ring, exactly: how a site sends its own in plain sums."""

from dataclasses import replace

import numpy as np

from common.boosting.forest import Forest
from common.errors import WireError

# Of a word: threshold above, value below; of the next, the gene.
HIGH = np.uint64(32)


def words_of_trees(trees: Forest) -> np.ndarray:
    """One round of one tree for each class, in their order, as uint64 (n_trees, n_nodes, 2)."""
    threshold, value, gene = (
        np.ascontiguousarray(part).view(np.uint32).astype(np.uint64)
        for part in (trees.threshold, trees.value, trees.gene)
    )
    return np.stack([threshold << HIGH | value, gene], axis=-1)


def trees_of_words(words: np.ndarray, forest: Forest) -> Forest:
    """The round of :func:`words_of_trees`, to follow ``forest``.

    Raises
    ------
    WireError
        It is none over the genes and classes of ``forest``.
    """
    blank = forest.one_round(np.arange(forest.n_classes))
    if words.shape != (*blank.gene.shape, 2) or words.dtype != np.uint64:
        raise WireError(
            f"trees as {words.dtype} words of shape {words.shape}, expected uint64 and "
            f"{(*blank.gene.shape, 2)}: use the same version"
        )
    threshold, value = (
        part.astype(np.uint32).view(np.float32)
        for part in (words[..., 0] >> HIGH, words[..., 0] & np.uint64(0xFFFFFFFF))
    )
    gene = words[..., 1].astype(np.uint32).view(np.int32)
    if not (np.isfinite(threshold).all() and np.isfinite(value).all()):
        raise WireError("a tree's threshold or value is not finite: use the same version")
    # The last level has no room for children.
    n_inner = gene.shape[1] // 2
    if gene.min() < -1 or gene.max() >= forest.n_genes or gene[:, n_inner:].max() >= 0:
        raise WireError(f"a tree splits where it cannot, over {forest.n_genes} genes")
    return replace(blank, gene=gene, threshold=threshold, value=value)
