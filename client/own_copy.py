"""A copy of the site's own .h5ad with entries added: it appears whole, or not at all."""

import contextlib
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

# A column has at most so many bytes a cell: a number in single precision, or a category's code.
COLUMN_BYTES = 4
# Of HDF5's own, beside what is added.
OVERHEAD = 2**20


@contextlib.contextmanager
def own_copy(source: Path, target: Path, n_bytes: int) -> Iterator[h5py.File]:
    """A copy under a temporary name, open to be added to; in the end it is renamed to ``target``.

    Parameters
    ----------
    source
        The site's input file; X, obs, var and everything else is kept as it is.
    n_bytes
        At least what will be added.

    Raises
    ------
    DiskError
        The folder cannot be written or the disk is full; nothing is left behind.
    InputError
        The source is gone.
    """
    partial = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{target.stem}-", suffix=".part", dir=target.parent
        )
        os.close(handle)
        partial = Path(name)
        _copy(source, partial)
        _reserve(partial, n_bytes + OVERHEAD)
        with h5py.File(partial, "r+") as file:
            yield file
        # What is added is as private as the site's own file.
        shutil.copymode(source, partial)
        partial.replace(target)
    except OSError as error:
        raise DiskError(target, error) from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def mapping(file: h5py.File, name: str) -> h5py.Group:
    """A group of the file, made with anndata's encoding if it is not there."""
    from anndata.io import write_elem

    if name not in file:
        write_elem(file, name, {})
    return file[name]


def add_columns(obs: h5py.Group, columns: dict[str, Any]) -> None:
    """Add columns (n_cells,) to obs by name, in the place of any of that name."""
    from anndata.io import write_elem

    for name, values in columns.items():
        write_elem(obs, name, values)
    kept = [name for name in obs.attrs["column-order"] if name not in columns]
    obs.attrs["column-order"] = np.array([*kept, *columns], dtype=h5py.string_dtype())


def drop_column(obs: h5py.Group, name: str) -> None:
    """Remove a column of obs if it is there."""
    if name in obs:
        del obs[name]
        kept = [column for column in obs.attrs["column-order"] if column != name]
        obs.attrs["column-order"] = np.array(kept, dtype=h5py.string_dtype())


def add_about(file: h5py.File, key: str, about: dict[str, Any]) -> None:
    """Add ``uns[key]``; lists become arrays of their items."""
    from anndata.io import write_elem

    plain = {k: np.array(v, dtype=object) if isinstance(v, list) else v for k, v in about.items()}
    write_elem(mapping(file, "uns"), key, plain)


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
