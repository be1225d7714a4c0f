"""The corrected .h5ad: the site's own file, untouched, with corrected expression and latents added.

``obsm["X_latent"]`` and ``obsm["X_latent_corrected"]`` hold the latents before and after;
``obsm["decoded"]`` or ``obsm["residual"]`` corrected log1p CP10k over the model's genes, whose
names are ``uns["syncytium"]["genes"]``; library sizes are over ``uns["syncytium"]["vocabulary"]``.
Columns of obs whose names begin with ``syncytium_`` tell which cells were shifted, as which type,
where that label is from, and why others were not (``common/shift_labels.py``).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from client.own_copy import COLUMN_BYTES, add_about, add_columns, mapping, own_copy
from common.panel import Panel


def write_corrected(
    source: Path,
    target: Path,
    *,
    latent: np.ndarray,
    latent_corrected: np.ndarray,
    obs: dict[str, Any],
    panel: Panel,
    outputs: dict[str, Iterator[np.ndarray]],
    about: dict[str, Any],
) -> None:
    """Write ``target``, whole or not at all.

    Parameters
    ----------
    source
        The site's input file; X, obs, var and everything else is kept as it is.
    latent, latent_corrected
        (n_cells, latent_dim).
    obs
        Columns to add to obs, (n_cells,) each.
    panel
        Genes and scaling of the model.
    outputs
        Corrected expression by name, as consecutive chunks (n_cells_of_chunk, n_genes).
    about
        Entries of ``uns["syncytium"]``.

    Raises
    ------
    DiskError
        The folder cannot be written or the disk is full; nothing is left behind.
    InputError
        The source is gone.
    """
    from anndata.io import write_elem

    n_bytes = _added_bytes(latent.shape, panel, len(outputs), len(obs))
    with own_copy(source, target, n_bytes) as file:
        obsm = mapping(file, "obsm")
        for key, value in (("X_latent", latent), ("X_latent_corrected", latent_corrected)):
            write_elem(obsm, key, value)
        for key, chunks in outputs.items():
            _write_chunks(obsm, key, chunks, (len(latent), len(panel.genes)))
        add_columns(file["obs"], obs)
        uns = {
            **about,
            "genes": list(panel.genes),
            # Over these a library size is taken: with them the file tells its own input.
            "vocabulary": list(panel.vocabulary),
            "scale_mean": panel.mean,
            "scale_sd": panel.sd,
            "outputs": list(outputs),
        }
        add_about(file, "syncytium", uns)


def _added_bytes(latent: tuple[int, int], panel: Panel, n_outputs: int, n_columns: int) -> int:
    """At least what is added to the copy: float32 arrays, columns of obs, names."""
    n_cells, latent_dim = latent
    arrays = 4 * n_cells * (2 * latent_dim + n_outputs * len(panel.genes))
    names = 256 * (len(panel.genes) + len(panel.vocabulary))
    return arrays + COLUMN_BYTES * n_cells * n_columns + names


def _write_chunks(
    obsm: h5py.Group, key: str, chunks: Iterator[np.ndarray], shape: tuple[int, int]
) -> None:
    if key in obsm:
        del obsm[key]
    dataset = obsm.create_dataset(key, shape=shape, dtype=np.float32)
    dataset.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    start = 0
    for chunk in chunks:
        if chunk.shape[1:] != shape[1:] or start + len(chunk) > shape[0]:
            raise ValueError(f"{key}: cells {start} on are {chunk.shape}, of {shape} in all")
        dataset[start : start + len(chunk)] = chunk
        start += len(chunk)
    if start != shape[0]:
        raise ValueError(f"{key}: {start} of {shape[0]} cells were given")
