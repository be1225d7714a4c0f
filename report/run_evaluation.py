"""Score a run: the corrected files in its folder against the expression they were made from."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from common.bundle import Bundle
from common.data.genes import columns_of
from common.data.matrix import CLIP, ExpressionMatrix
from common.data.normalise import library_sizes, log1p_cp10k
from common.data.reader import SiteFile
from common.errors import InputError
from common.panel import Panel, Scaling
from report.evaluation import evaluate_embeddings


@dataclass
class Gathered:
    """Cells of one site after the other, in matching parts."""

    before: list[np.ndarray] = field(default_factory=list)
    after: dict[str, list[np.ndarray]] = field(default_factory=dict)
    batch: list[np.ndarray] = field(default_factory=list)
    cell_type: list[np.ndarray] = field(default_factory=list)


def evaluate_run(run_dir: Path, *, max_cells: int = 20_000, seed: int = 0) -> dict[str, Any]:
    """Score a run folder and write its ``evaluation.json``.

    Before: scaled log1p CP10k of the model's genes, recomputed from each corrected file's own
    counts. After: the outputs in ``obsm``, scaled alike. A batch is a site's batch: two sites'
    batches of one name stay apart.

    Parameters
    ----------
    run_dir
        Holds ``sites/NAME/corrected.h5ad`` and ``bundle/``, as a simulated run leaves them.
    max_cells
        Above it a random subsample of this size is read and scored.
    seed
        Of the subsample and of the PCA.

    Returns
    -------
    What was written: see :func:`report.evaluation.evaluate_embeddings`.

    Raises
    ------
    InputError
        A file is missing or does not belong to this run.
    """
    gathered, total = gather(run_dir, max_cells=max_cells, seed=seed)
    result = evaluate_embeddings(
        np.concatenate(gathered.before),
        {name: np.concatenate(parts) for name, parts in gathered.after.items()},
        np.concatenate(gathered.batch),
        np.concatenate(gathered.cell_type),
        max_cells=max_cells,
        seed=seed,
    )
    if total > max_cells:
        how = {"n_cells": max_cells, "how": "random, without replacement", "seed": seed}
        result |= {"n_cells": total, "subsample": how}
    partial = run_dir / ".evaluation.json.part"
    partial.write_text(json.dumps(result, indent=1, allow_nan=False))
    partial.replace(run_dir / "evaluation.json")
    return result


def gather(
    run_dir: Path, *, max_cells: int, seed: int, shown: int | None = None
) -> tuple[Gathered, int]:
    """The cells that are scored, or at random at most ``shown`` of them; and how many there are.

    Raises
    ------
    InputError
        A file is missing or does not belong to this run.
    """
    files = sorted(run_dir.glob("sites/*/corrected.h5ad"))
    if not files:
        raise InputError(
            f"{run_dir}: there are no corrected files in {run_dir / 'sites'}; give the folder of a "
            "finished simulation (on real nodes they stay at the sites)"
        )
    bundle = Bundle.load(run_dir / "bundle")
    panel = bundle.panel
    sizes = [_n_cells(path, panel, bundle.card.get("run")) for path in files]
    total = sum(sizes)
    chosen = np.arange(total)
    if total > max_cells:
        chosen = np.sort(np.random.default_rng(seed).choice(total, max_cells, replace=False))
    gathered, first = Gathered(), 0
    if shown is not None and len(chosen) > shown:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, shown, replace=False))
    for path, n_cells in zip(files, sizes, strict=True):
        rows = chosen[(chosen >= first) & (chosen < first + n_cells)] - first
        read_site(path, rows, panel, gathered)
        first += n_cells
    return gathered, total


def _n_cells(path: Path, panel: Panel, run: str | None) -> int:
    """Cells of a corrected file, which must be the run's own."""
    import h5py
    from anndata.io import read_elem

    try:
        with h5py.File(path, "r") as file:
            if "uns/syncytium" not in file:
                raise InputError(f"{path} was not written by a run: uns has no entry 'syncytium'")
            about = read_elem(file["uns/syncytium"])
            n_cells = len(file["obsm/X_latent"])
    except OSError as error:
        raise InputError(f"{path} was not written by a run: it is no .h5ad ({error})") from error
    if tuple(about["genes"]) != panel.genes:
        raise InputError(f"{path} holds other genes than the run's bundle: it is another run's")
    if about["run"] != run:
        raise InputError(
            f"{path} was written by run {about['run']} and the bundle by run {run}: put back the "
            "file of this run"
        )
    return n_cells


def read_site(path: Path, rows: np.ndarray, panel: Panel, gathered: Gathered) -> None:
    """Add these cells of a corrected file; ``panel`` is that of its run."""
    import h5py
    from anndata.io import read_elem

    with h5py.File(path, "r") as file:
        about = read_elem(file["uns/syncytium"])
        scaling = panel.scaling()
        for name in about["outputs"]:
            corrected = _rows(file["obsm"][name], rows)
            scaled = np.clip((corrected - scaling.mean) / scaling.sd, -CLIP, CLIP)
            gathered.after.setdefault(name, []).append(scaled)
    keys = {key: about[key] for key in ("batch_key", "cell_type_key", "layer", "gene_column")}
    site = SiteFile.open(path, **keys)
    gathered.before.append(np.concatenate(list(_scaled(site, rows, panel, scaling))))
    name = path.parent.name
    gathered.batch.append(np.array([f"{name}/{b}" for b in site.batches[rows]], dtype=object))
    gathered.cell_type.append(site.cell_types[rows])


def _rows(dataset: Any, rows: np.ndarray, block: int = 4096) -> np.ndarray:
    """Some rows, in their order. Blocks are read: HDF5 is slow with scattered row numbers."""
    firsts = range(0, len(dataset), block)
    parts = [rows[(rows >= first) & (rows < first + block)] for first in firsts]
    wanted = [(first, part) for first, part in zip(firsts, parts, strict=True) if len(part)]
    if not wanted:
        return dataset[:0]
    return np.concatenate([dataset[first : first + block][part - first] for first, part in wanted])


def _scaled(
    site: SiteFile, rows: np.ndarray, panel: Panel, scaling: Scaling
) -> Iterator[np.ndarray]:
    columns = columns_of(panel.vocabulary, site.genes)
    chosen = columns_of(panel.genes, panel.vocabulary)
    for first, counts in site.iter_counts(columns):
        wanted = rows[(rows >= first) & (rows < first + counts.shape[0])] - first
        counts = counts[wanted]
        log = log1p_cp10k(counts[:, chosen], library_sizes(counts))
        yield ExpressionMatrix(log, scaling).scaled(slice(None)).numpy()
