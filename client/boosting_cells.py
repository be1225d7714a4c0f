"""A site's training cells for trees: binned once, and margins that grow by each round, on its disk.

A message is answered by a process that knows nothing of the one before; without what is kept here
every level would bin all cells anew, and the trees of all rounds be added up for each.
"""

import hashlib
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from zipfile import BadZipFile

import numpy as np
import scipy.sparse as sp

from client.labelled_cells import LabelledCells
from client.site import Site
from common.boosting.bins import BinEdges
from common.boosting.forest import Forest
from common.boosting.forest_state import forest_of, state_of_forest
from common.boosting.site import BoostingSite
from common.errors import InputError
from common.panel import Panel

logger = logging.getLogger("syncytium.client")
MARGINS = "margins"
Kept = TypeVar("Kept")


@contextmanager
def boosting_site(
    site: Site, panel: Panel, cells: LabelledCells, edges: BinEdges, expression: sp.csr_matrix
) -> Iterator[BoostingSite]:
    """The training cells, with what the site still has of earlier messages; kept for later ones.

    Parameters
    ----------
    expression
        log1p CP10k of all cells, (n_cells, n_genes).
    """
    path = _path(site, panel, cells, edges)
    binned, margins = (path.with_name(f"{path.name}.{what}.npz") for what in ("bins", "margins"))
    codes = _kept(binned, sp.load_npz)
    if codes is None:
        _drop(site)
        codes = edges.bin_cells(expression[cells.train])
        _keep(binned, lambda file: sp.save_npz(file, codes, compressed=False))
    known = _kept(margins, _read_margins)
    own = BoostingSite(codes, cells.codes[cells.train], edges, known)
    yield own
    if own.known is not known and own.known[0].n_rounds:
        arrays = {**state_of_forest(own.known[0]), MARGINS: own.known[1]}
        _keep(margins, lambda file: np.savez(file, **arrays))


def _kept(path: Path, read: Callable[[Path], Kept]) -> Kept | None:
    """None without the file, or where it cannot be read: what it holds is made anew."""
    try:
        return read(path) if path.is_file() else None
    except (OSError, ValueError, KeyError, BadZipFile, InputError) as error:
        logger.warning("%s cannot be read and is made anew: %s", path.name, error)
        return None


def _read_margins(path: Path) -> tuple[Forest, np.ndarray]:
    with np.load(path) as kept:
        arrays = dict(kept)
    margins = arrays.pop(MARGINS)
    return forest_of(arrays), margins


def _path(site: Site, panel: Panel, cells: LabelledCells, edges: BinEdges) -> Path:
    of = hashlib.blake2b(digest_size=16)
    for array in (edges.grid, edges.kept, cells.train, cells.codes):
        of.update(np.ascontiguousarray(array).tobytes())
    names = (site.fingerprint[:16], panel.digest[:16], of.hexdigest(), "boosting")
    return site.cache_dir / "-".join(names)


def _drop(site: Site) -> None:
    """Remove what is kept of other runs over this file."""
    for path in site.cache_dir.glob(f"{site.fingerprint[:16]}-*-boosting.*"):
        path.unlink(missing_ok=True)


def _keep(path: Path, write: Callable[[Path], object]) -> None:
    """Write whole or not at all; a disk without room costs the same work again and nothing else."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as partial:
            file = Path(partial) / path.name
            write(file)
            file.replace(path)
    except OSError as error:
        logger.warning("%s is not kept: %s", path.name, error)
