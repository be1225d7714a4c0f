"""The genes a run works on and how they are scaled, as every site must know them."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Scaling:
    """Pooled mean and standard deviation of log1p CP10k, each (n_genes,), float32."""

    mean: np.ndarray
    sd: np.ndarray


@dataclass(frozen=True)
class Panel:
    """Genes and scaling of a model.

    Parameters
    ----------
    vocabulary
        The agreed genes, over which library sizes are taken.
    genes
        The model's genes, a subset of them, in the model's order.
    mean, sd
        Pooled moments of log1p CP10k of ``genes``, (n_genes,), float64.
    """

    vocabulary: tuple[str, ...]
    genes: tuple[str, ...]
    mean: np.ndarray
    sd: np.ndarray

    def scaling(self) -> Scaling:
        """The scaling of an :class:`~common.data.matrix.ExpressionMatrix`."""
        return Scaling(self.mean.astype(np.float32), self.sd.astype(np.float32))

    @cached_property
    def digest(self) -> str:
        """A hash of genes and vocabulary: what decides a site's preprocessed matrix."""
        names = json.dumps([self.vocabulary, self.genes]).encode()
        return hashlib.blake2b(names, digest_size=16).hexdigest()
