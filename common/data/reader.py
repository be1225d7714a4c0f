"""A site's file: its cells, batches, types and genes, and its counts in blocks from disk."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy import sparse

from common.data.counts import CountsVerdict, as_values, find_counts
from common.data.depth import library_sizes
from common.data.genes import GeneKind, gene_kind, strip_version
from common.data.h5ad import H5ad, Matrix
from common.data.labels import CURATED, CellLabels, read_labels
from common.data.obs import batches, cell_names, column, repeated
from common.data.stream import stream_counts
from common.data.units import donors_of, with_covariates
from common.data.wording import quoted
from common.errors import GeneError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SiteFile:
    """One site's .h5ad.

    Parameters
    ----------
    obs_names
        Cell names, ``(n_cells,)``.
    genes
        Gene names without Ensembl versions, of the matrix that holds the counts (raw has its own).
    batches
        Batch of every cell, str ``(n_cells,)``.
    labels
        The cells' types, where these labels are from, and which of them steer.
    counts
        Which matrix holds the counts, and how.
    donors
        Each record's donor, str ``(n_cells,)``; None where no column names them.
    classes
        ``cell_types``, with the values of covariates where these are asked for.
    """

    path: Path
    obs_names: list[str]
    genes: list[str]
    batches: np.ndarray
    labels: CellLabels
    counts: CountsVerdict
    donors: np.ndarray | None
    classes: np.ndarray
    _matrix: Matrix = field(repr=False)
    _sizes: np.ndarray | None = field(repr=False, default=None)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        batch_key: str = "batch",
        cell_type_key: str = "cell_type",
        layer: str = "auto",
        gene_column: str = "",
        label_origin: str = CURATED,
        label_origin_key: str = "",
        confidence_key: str = "",
        min_confidence: float = 0.0,
        counted: bool = True,
        donor_key: str = "",
        covariate_keys: str = "",
    ) -> Self:
        """Read everything but the matrix, and find out which matrix holds the counts.

        Parameters
        ----------
        batch_key, cell_type_key
            Columns of obs. Without a batch key the whole file is one batch, named after the file;
            without a cell-type key no cell has a label.
        layer
            ``"auto"``, ``"X"``, ``"raw"`` or a layer's name.
        gene_column
            Column of var with the gene names; "" takes var_names.
        label_origin, label_origin_key, confidence_key, min_confidence
            As of :func:`common.data.labels.read_labels`.
        counted
            False: a matrix is taken as it is, whatever its values are; ``layer`` "auto" is X.
        donor_key
            Column of obs with each record's donor; "" = none is named.
        covariate_keys
            Columns of obs, by commas, whose values are added to a label, as "LumA|female".

        Raises
        ------
        InputError
            The file, a column, the cells, the genes or the matrix cannot be used.
        """
        file = H5ad.open(path)
        names = cell_names(file.obs)
        batch = batches(file.obs, batch_key, whole=file.path.stem)
        labels = read_labels(
            file.obs,
            cell_type_key,
            label_origin=label_origin,
            label_origin_key=label_origin_key,
            confidence_key=confidence_key,
            min_confidence=min_confidence,
        )
        verdict = find_counts(file, layer, batches=batch) if counted else as_values(file, layer)
        genes = gene_names(file.var(verdict.source), gene_column, source=verdict.source)
        sizes = library_sizes(file.obs).get(verdict.library_key or "")
        matrix = file.matrix(verdict.source)
        donors = donors_of(file.obs, donor_key) if donor_key else None
        classes = with_covariates(labels.steering, file.obs, covariate_keys)
        return cls(file.path, names, genes, batch, labels, verdict, donors, classes, matrix, sizes)

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.obs_names)

    @property
    def cell_types(self) -> np.ndarray:
        """Type of every cell whose label steers, object ``(n_cells,)``, None for the others."""
        return self.labels.steering

    @property
    def gene_kind(self) -> GeneKind:
        """The naming scheme of the genes."""
        return gene_kind(self.genes)

    def iter_counts(
        self, columns: np.ndarray | None = None, chunk_size: int = 4096
    ) -> Iterator[tuple[int, sparse.csr_matrix]]:
        """Counts of consecutive cells, from disk.

        Parameters
        ----------
        columns
            Genes to give, as indices into ``genes``, in this order; -1 gives a gene of zeros.
            None gives all.

        Yields
        ------
        first, counts
            Index of the first cell; float32 ``(<= chunk_size, n_columns)``.

        Raises
        ------
        CountsError
            A value anywhere in these cells, of whichever gene, is not a count.
        """
        return stream_counts(
            self._matrix,
            self.counts,
            cells=self.obs_names,
            genes=lambda: self.genes,
            sizes=self._sizes,
            columns=columns,
            chunk_size=chunk_size,
        )


def gene_names(var: "pd.DataFrame", gene_column: str, *, source: str) -> list[str]:
    """The gene names without versions.

    Raises
    ------
    InputError
        var has no such column.
    GeneError
        There are fewer than two genes, a name is missing, or two are the same.
    """
    of = "raw.var" if source == "raw/X" else "var"
    values = column(var, gene_column, setting="gene-column", of=of) if gene_column else var.index
    missing = values.isna() | (values.astype(str).str.strip() == "")
    where = f"{of}[{gene_column!r}]" if gene_column else f"{of}_names"
    if missing.any():
        first = str(var.index[int(np.asarray(missing).argmax())])
        raise GeneError(
            f"{int(missing.sum()):,} gene(s) have no name in {where} (the first is {first!r} in "
            f"{of}_names): fill them in, drop them, or set gene-column to another column of {of}."
        )
    names = [strip_version(str(value)) for value in values]
    if len(names) < 2:
        raise GeneError(f"the file holds {len(names)} gene(s): give one with at least 2.")
    twice = repeated(names)
    if twice:
        raise GeneError(
            f"{len(twice):,} gene name(s) occur more than once in {where}, Ensembl versions left "
            f"out ({quoted(twice)}): add their counts up or keep one of each, or set gene-column "
            f"to a column of {of} with unique names."
        )
    return names
