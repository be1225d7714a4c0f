"""Which matrix of an .h5ad holds counts, and of which kind: judged on a sample of its cells."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse

from common.data.depth import SIZE_COLUMNS, TOLERANCE, find_target, library_sizes
from common.data.evidence import Evidence
from common.data.h5ad import H5ad
from common.data.wording import together
from common.errors import CountsError
from common.registry import did_you_mean

MEND = "put raw counts into layers['counts'] or .raw, or set layer to the matrix that holds them"

_SAMPLE_CELLS = 1024
_RUN = 32


@dataclass(frozen=True)
class CountsVerdict:
    """Where the counts are and how they are stored.

    Parameters
    ----------
    kind
        ``"integer"``; ``"fractional"`` (expected counts, kept as they are); ``"log1p"`` (of counts
        per ``target_sum``, undone to whole counts); ``"values"`` (no counts: taken as they are).
    source
        ``"X"``, ``"raw/X"`` or ``"layers/NAME"``.
    detail
        One sentence for people.
    library_key
        The obs column of library sizes with which a scaling is undone; None where there is none.
        With kind ``"integer"``, the matrix holds counts per ``target_sum`` that were not logged.
    target_sum
        The library size that every cell was scaled to, counts.
    """

    kind: Literal["integer", "fractional", "log1p", "values"]
    source: str
    detail: str
    library_key: str | None = None
    target_sum: float | None = None


def find_counts(
    file: H5ad, layer: str = "auto", *, batches: np.ndarray | None = None
) -> CountsVerdict:
    """The first matrix that holds counts, or can be turned back into counts.

    Parameters
    ----------
    layer
        ``"X"``, ``"raw"`` or a layer's name; ``"auto"`` tries ``layers["counts"]``, X, raw and the
        other layers, in that order.
    batches
        Batch of every cell, ``(n_cells,)``: some cells of each are looked at.

    Raises
    ------
    CountsError
        The named matrix is missing, or none can be used; the message says why for each.
    """
    if layer != "auto":
        return judge_source(file, source_of(file, layer), batches=batches)
    refused = []
    for source in file.sources:
        try:
            verdict = judge_source(file, source, batches=batches)
        except CountsError as error:
            refused.append(str(error))
            continue
        return verdict
    if not refused:
        raise CountsError(f"{file.path} holds no matrix of cells by genes: {MEND}.")
    raise CountsError(together(refused))


def as_values(file: H5ad, layer: str = "auto") -> CountsVerdict:
    """One matrix, taken as it is: ``"auto"`` is X, or else the first there is.

    Raises
    ------
    CountsError
        The named matrix is missing, or there is none.
    """
    if layer == "auto" and not file.sources:
        raise CountsError(f"{file.path} holds no matrix of cells by genes: put values into X.")
    first = "X" if "X" in file.sources else next(iter(file.sources), "")
    source = first if layer == "auto" else source_of(file, layer)
    return CountsVerdict("values", source, f"{source} is taken as it is.")


def source_of(file: H5ad, layer: str) -> str:
    """The matrix that the setting ``layer`` names.

    Raises
    ------
    CountsError
        The file has none of that name.
    """
    names = {"raw" if s == "raw/X" else s.removeprefix("layers/"): s for s in file.sources}
    source = layer if layer in file.sources else names.get(layer)
    if source is None:
        known = did_you_mean(layer, names).removesuffix(".")
        raise CountsError(
            f"{file.path} has no matrix {layer!r} ({known}): set layer to one of them or 'auto'."
        )
    return source


def judge_source(file: H5ad, source: str, *, batches: np.ndarray | None = None) -> CountsVerdict:
    """The verdict on one matrix of the file; see ``judge``."""
    matrix = file.matrix(source)
    if not all(matrix.shape):
        raise CountsError(
            f"{source} is empty, {matrix.shape[0]} cells x {matrix.shape[1]}: {MEND}."
        )
    rows = sample_rows(matrix.shape[0], batches)
    return judge(
        matrix.take(rows),
        source=source,
        cells=[str(name) for name in file.obs.index[rows]],
        genes=lambda: [str(name) for name in file.var(source).index],
        sizes={key: values[rows] for key, values in library_sizes(file.obs).items()},
    )


def sample_rows(n_cells: int, batches: np.ndarray | None = None) -> np.ndarray:
    """Cells to judge by: runs spread evenly over the file, and the first few of each batch."""
    if n_cells <= _SAMPLE_CELLS:
        return np.arange(n_cells)
    starts = np.linspace(0, n_cells - _RUN, _SAMPLE_CELLS // _RUN).astype(np.int64)
    rows = [(starts[:, None] + np.arange(_RUN)).ravel()]
    if batches is not None:
        order = np.argsort(batches, kind="stable")
        first = np.unique(batches[order], return_index=True)[1][:64]
        last = np.append(first[1:], n_cells)
        rows += [order[a : min(a + 8, b)] for a, b in zip(first, last, strict=True)]
    return np.unique(np.concatenate(rows))


def judge(
    sample: sparse.csr_matrix,
    *,
    source: str,
    cells: Sequence[str],
    genes: Callable[[], Sequence[str]],
    sizes: Mapping[str, np.ndarray],
) -> CountsVerdict:
    """The kind of values in a sample of cells.

    Parameters
    ----------
    sample
        ``(n_cells, n_genes)``.
    cells
        Names of the sampled cells.
    genes
        Gives the gene names, asked for only when a message needs one.
    sizes
        Candidate library sizes, each ``(n_cells,)``.

    Raises
    ------
    CountsError
        These are not counts and cannot be turned back; the message says why and what is missing.
    """
    require_finite_and_positive(sample, source=source, cells=cells, genes=genes)
    sample = sample.astype(np.float64)
    sample.eliminate_zeros()
    filled = np.flatnonzero(np.diff(sample.indptr))
    if not len(filled):
        raise CountsError(f"{source} holds only zeros in {len(cells):,} sampled cells: {MEND}.")
    sample = sample[filled]
    evidence = Evidence(sample)
    if evidence.whole.all():
        return CountsVerdict("integer", source, f"{source} holds whole numbers: raw counts.")
    odd = evidence.odd_cells()
    if odd.any():
        raise CountsError(
            f"{source} mixes cells with counts and cells with log-transformed or normalised values "
            f"(such as {cells[filled[int(odd.argmax())]]!r}): {MEND}, for all cells alike."
        )
    if not evidence.is_logged() and not evidence.is_scaled():
        detail = f"{source} holds fractional counts (as from RSEM or Salmon), kept as they are."
        return CountsVerdict("fractional", source, detail)
    return _undo(sample, evidence, source, {key: all_[filled] for key, all_ in sizes.items()})


def _undo(
    sample: sparse.csr_matrix, evidence: Evidence, source: str, sizes: Mapping[str, np.ndarray]
) -> CountsVerdict:
    logged = evidence.is_logged()
    tried = []
    for key, values in sizes.items():
        target, worst = find_target(sample, values, logged=logged)
        if target is not None:
            what = f"{'log1p of ' if logged else ''}counts per {target:,.6g}"
            detail = f"{source} holds {what}; obs[{key!r}] turns it back into whole counts."
            return CountsVerdict("log1p" if logged else "integer", source, detail, key, target)
        tried.append(f"obs[{key!r}] leaves values {worst:.2g} away from whole numbers")
    span = f"{evidence.values.min():.3g} to {evidence.values.max():.3g}, not whole"
    if logged and evidence.density > 0.95 and not evidence.is_log_of_scaled():
        raise CountsError(
            f"{source} looks variance-stabilised or log2-transformed (values {span}, hardly a "
            f"zero), which cannot be undone: {MEND}."
        )
    what = "log-normalised (log1p)" if logged else "normalised to equal library sizes (CP10k, TPM)"
    why = "; ".join(tried) or f"obs has no complete column of library sizes ({SIZE_COLUMNS})"
    raise CountsError(
        f"{source} looks {what}, values {span}; to undo that to within {TOLERANCE} of whole counts "
        f"takes each cell's library size, and {why}: add the sizes used in the normalisation as "
        f"obs['n_counts'], or {MEND}."
    )


def require_finite_and_positive(
    block: sparse.csr_matrix,
    *,
    source: str,
    cells: Sequence[str],
    genes: Callable[[], Sequence[str]],
) -> None:
    """Refuse NaN, infinite and negative values.

    Raises
    ------
    CountsError
        Names how many there are among these cells, and the first one's cell and gene.
    """
    require_finite(block, source=source, cells=cells, genes=genes, mend=MEND)
    bad = block.data < 0
    if bad.any():
        raise CountsError(
            f"{source} looks z-scored (sc.pp.scale): {bad.sum():,} negative value(s) among "
            f"{len(cells):,} cells, the first {block.data[bad][0]:.3g} at "
            f"{place(block, bad, cells, genes)}: {MEND}."
        )


def require_finite(
    block: sparse.csr_matrix,
    *,
    source: str,
    cells: Sequence[str],
    genes: Callable[[], Sequence[str]],
    mend: str = "leave these cells out",
) -> None:
    """Refuse NaN and infinite values.

    Raises
    ------
    CountsError
        Names how many there are among these cells, and the first one's cell and gene.
    """
    bad = ~np.isfinite(block.data)
    if bad.any():
        raise CountsError(
            f"{source} holds {bad.sum():,} NaN or infinite value(s) among {len(cells):,} cells, "
            f"the first at {place(block, bad, cells, genes)}: set them right, or {mend}."
        )


def place(
    block: sparse.csr_matrix,
    bad: np.ndarray,
    cells: Sequence[str],
    genes: Callable[[], Sequence[str]],
) -> str:
    """The cell and the gene of the first True of ``bad``, which runs along ``block.data``."""
    at = int(bad.argmax())
    row = int(np.searchsorted(block.indptr, at, side="right")) - 1
    return f"cell {cells[row]!r}, gene {genes()[block.indices[at]]!r}"
