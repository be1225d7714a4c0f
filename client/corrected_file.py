"""The corrected .h5ad: the site's own file, untouched, with corrected expression and latents added.

``obsm["X_latent"]`` and ``obsm["X_latent_corrected"]`` hold the latents before and after;
``obsm["decoded"]`` or ``obsm["residual"]`` corrected log1p CP10k over the model's genes, whose
names are ``uns["syncytium"]["genes"]``; library sizes are over ``uns["syncytium"]["vocabulary"]``.
Columns of obs whose names begin with ``syncytium_`` tell which cells were shifted, as which type,
where that label is from, and why others were not (``common/shift_labels.py``).
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from common.errors import DiskError, InputError
from common.panel import Panel

# A column has at most so many bytes a cell: a number in single precision, or a category's code.
COLUMN_BYTES = 4


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
    """Write ``target`` under a temporary name, then rename it.

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

    partial = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".corrected-", suffix=".part", dir=target.parent)
        os.close(handle)
        partial = Path(name)
        _copy(source, partial)
        _reserve(partial, _added_bytes(latent.shape, panel, len(outputs), len(obs)))
        with h5py.File(partial, "r+") as file:
            obsm = _mapping(file, "obsm")
            for key, value in (("X_latent", latent), ("X_latent_corrected", latent_corrected)):
                write_elem(obsm, key, value)
            for key, chunks in outputs.items():
                _write_chunks(obsm, key, chunks, (len(latent), len(panel.genes)))
            _add_columns(file["obs"], obs)
            uns = {
                **about,
                "genes": np.array(panel.genes, dtype=object),
                # Over these a library size is taken: with them the file tells its own input.
                "vocabulary": np.array(panel.vocabulary, dtype=object),
                "scale_mean": panel.mean,
                "scale_sd": panel.sd,
                "outputs": np.array(list(outputs), dtype=object),
            }
            uns = {
                k: np.array(v, dtype=object) if isinstance(v, list) else v for k, v in uns.items()
            }
            write_elem(_mapping(file, "uns"), "syncytium", uns)
        # The corrected cells are as private as the site's own file.
        shutil.copymode(source, partial)
        partial.replace(target)
    except OSError as error:
        raise DiskError(target, error) from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def _copy(source: Path, partial: Path) -> None:
    try:
        with h5py.File(source, "r") as file:
            current = isinstance(file["obs"], h5py.Group)
    except OSError as error:
        raise InputError(
            f"{source} can no longer be read ({error}); put it back as it was and run again",
            public="the site's file can no longer be read; its own log has the reason",
        ) from error
    if current:
        shutil.copyfile(source, partial)
        return
    # Files of anndata before 0.7 cannot be added to in place.
    from anndata import read_h5ad

    read_h5ad(source).write_h5ad(partial)


def _added_bytes(latent: tuple[int, int], panel: Panel, n_outputs: int, n_columns: int) -> int:
    """At least what is added to the copy: float32 arrays, columns of obs, names, HDF5's own."""
    n_cells, latent_dim = latent
    arrays = 4 * n_cells * (2 * latent_dim + n_outputs * len(panel.genes))
    names = 256 * (len(panel.genes) + len(panel.vocabulary))
    return arrays + COLUMN_BYTES * n_cells * n_columns + names + 2**20


def _reserve(path: Path, n_bytes: int) -> None:
    """Take the room for ``n_bytes`` more; HDF5 gives back the rest when it closes the file.

    HDF5 does not raise on a disk that fills up: it ends the process.

    Raises
    ------
    OSError
        There is not so much room.
    """
    size = path.stat().st_size + n_bytes
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    elif shutil.disk_usage(path.parent).free < n_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _mapping(file: h5py.File, name: str) -> h5py.Group:
    """A group of the file, made with anndata's encoding if it is not there."""
    from anndata.io import write_elem

    if name not in file:
        write_elem(file, name, {})
    return file[name]


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


def _add_columns(obs: h5py.Group, columns: dict[str, Any]) -> None:
    from anndata.io import write_elem

    for name, values in columns.items():
        write_elem(obs, name, values)
    kept = [name for name in obs.attrs["column-order"] if name not in columns]
    obs.attrs["column-order"] = np.array([*kept, *columns], dtype=h5py.string_dtype())
