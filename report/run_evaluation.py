"""Score a run: the corrected files in a folder against the expression they were made from."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from common.data.genes import columns_of
from common.data.matrix import CLIP, ExpressionMatrix
from common.data.normalise import library_sizes, log1p_cp10k
from common.data.reader import SiteFile
from common.panel import Panel
from report.corrected_files import CorrectedFile, corrected_files
from report.evaluation import evaluate_embeddings
from report.label_note import labels_that_score


@dataclass
class Gathered:
    """Cells of one site after the other, in matching parts."""

    before: list[np.ndarray] = field(default_factory=list)
    after: dict[str, list[np.ndarray]] = field(default_factory=dict)
    batch: list[np.ndarray] = field(default_factory=list)
    cell_type: list[np.ndarray] = field(default_factory=list)
    label_origin: list[np.ndarray] = field(default_factory=list)
    steers: list[np.ndarray] = field(default_factory=list)


def evaluate_run(run_dir: Path, *, max_cells: int = 20_000, seed: int = 0) -> dict[str, Any]:
    """Score the corrected files in a folder and write ``evaluation.json`` there.

    Before: scaled log1p CP10k of the model's genes, recomputed from each corrected file's own
    counts. After: the outputs in ``obsm``, scaled alike. A batch is a site's batch: two sites'
    batches of one name stay apart.

    Parameters
    ----------
    run_dir
        A simulated run's folder, or one with files gathered from real sites: see
        :func:`report.corrected_files.corrected_files`.
    max_cells
        Above it a random subsample of this size is read and scored.
    seed
        Of the subsample and of the PCA.

    Returns
    -------
    What was written: see :func:`report.evaluation.evaluate_embeddings`; ``files``, what was
    scored; and ``labels``, where the labels that score are from.

    Raises
    ------
    InputError
        There is no corrected file, or one does not belong to the run of the others.
    """
    files = corrected_files(run_dir)
    cells, total = gather(files, max_cells=max_cells, seed=seed)
    result = evaluate_embeddings(
        np.concatenate(cells.before),
        {name: np.concatenate(parts) for name, parts in cells.after.items()},
        np.concatenate(cells.batch),
        np.concatenate(cells.cell_type),
        max_cells=max_cells,
        seed=seed,
    )
    origin, steers = np.concatenate(cells.label_origin), np.concatenate(cells.steers)
    result["labels"] = labels_that_score(origin, steers)
    result["files"] = [str(file.path.relative_to(run_dir)) for file in files]
    if total > max_cells:
        how = {"n_cells": max_cells, "how": "random, without replacement", "seed": seed}
        result |= {"n_cells": total, "subsample": how}
    partial = run_dir / ".evaluation.json.part"
    partial.write_text(json.dumps(result, indent=1, allow_nan=False))
    partial.replace(run_dir / "evaluation.json")
    return result


def gather(
    files: list[CorrectedFile], *, max_cells: int, seed: int, shown: int | None = None
) -> tuple[Gathered, int]:
    """The cells that are scored, or at random at most ``shown`` of them; and how many there are."""
    total = sum(file.n_cells for file in files)
    chosen = np.arange(total)
    for most in filter(None, (max_cells, shown)):
        if len(chosen) > most:
            # The same cells for one seed: those shown are among those scored.
            chosen = np.sort(np.random.default_rng(seed).choice(chosen, most, replace=False))
    cells, first = Gathered(), 0
    for file in files:
        rows = chosen[(chosen >= first) & (chosen < first + file.n_cells)] - first
        read_site(file, rows, cells)
        first += file.n_cells
    return cells, total


def read_site(file: CorrectedFile, rows: np.ndarray, cells: Gathered) -> None:
    """Add these cells of a corrected file."""
    import h5py

    scaling = file.panel.scaling()
    with h5py.File(file.path, "r") as stored:
        for name in file.outputs:
            corrected = _rows(stored["obsm"][name], rows)
            scaled = np.clip((corrected - scaling.mean) / scaling.sd, -CLIP, CLIP)
            cells.after.setdefault(name, []).append(scaled)
    site = SiteFile.open(file.path, **file.keys)
    cells.before.append(np.concatenate(list(scaled_rows(site, rows, file.panel))))
    batches = [f"{file.site}/{batch}" for batch in site.batches[rows]]
    cells.batch.append(np.array(batches, dtype=object))
    # All labels score, those too unsure to steer as well: only confident cells would flatter.
    cells.cell_type.append(site.labels.stated[rows])
    cells.label_origin.append(site.labels.origin[rows])
    cells.steers.append(site.labels.steers[rows])


def _rows(dataset: Any, rows: np.ndarray, block: int = 4096) -> np.ndarray:
    """Some rows, in their order. Blocks are read: HDF5 is slow with scattered row numbers."""
    firsts = range(0, len(dataset), block)
    parts = [rows[(rows >= first) & (rows < first + block)] for first in firsts]
    wanted = [(first, part) for first, part in zip(firsts, parts, strict=True) if len(part)]
    if not wanted:
        return dataset[:0]
    return np.concatenate([dataset[first : first + block][part - first] for first, part in wanted])


def scaled_rows(site: SiteFile, rows: np.ndarray, panel: Panel) -> Iterator[np.ndarray]:
    """Scaled expression of some cells, which ascend, in parts (n_cells_of_part, n_genes)."""
    columns = columns_of(panel.vocabulary, site.genes)
    chosen = columns_of(panel.genes, panel.vocabulary)
    for first, counts in site.iter_counts(columns):
        wanted = rows[(rows >= first) & (rows < first + counts.shape[0])] - first
        counts = counts[wanted]
        log = log1p_cp10k(counts[:, chosen], library_sizes(counts))
        yield ExpressionMatrix(log, panel.scaling()).scaled(slice(None)).numpy()
