"""The cells that an evaluation compares: as they were, and as the corrected file has them."""

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from client.site import Site
from common.coding import CHUNK
from common.data.matrix import CLIP
from common.errors import InputError
from common.federated_evaluation.views import UNCORRECTED
from common.panel import Panel

logger = logging.getLogger("syncytium.site")


def scaled_versions(
    site: Site, panel: Panel, run: str, versions: tuple[str, ...]
) -> Iterator[tuple[slice, dict[str, np.ndarray]]]:
    """Consecutive cells in every version: scaled and clipped expression, (n_rows, n_genes).

    Raises
    ------
    InputError
        The corrected file is gone or not of this run.
    """
    path, matrix = site.output_dir / "corrected.h5ad", site.matrix(panel)
    mean, sd = panel.mean.astype(np.float32), panel.sd.astype(np.float32)
    try:
        with h5py.File(path, "r") as file:
            if file["uns/syncytium/run"].asstr()[()] != run:
                raise InputError(f"{path} was written by another run: evaluation needs this run's")
            outputs = {name: file["obsm"][name] for name in versions if name != UNCORRECTED}
            for rows in matrix.chunks(CHUNK):
                found = {UNCORRECTED: matrix.scaled(rows).numpy()}
                for name, output in outputs.items():
                    found[name] = np.clip((output[rows] - mean) / sd, -CLIP, CLIP)
                yield rows, found
    except (OSError, KeyError) as error:
        raise InputError(
            f"{path} cannot be read ({error}): it is needed to the end of the run",
            public="the site's corrected file can no longer be read; its own log has the reason",
        ) from error


class KeptCells:
    """A site's cells in all views, kept in its cache from one phase of an evaluation to the next.

    Parameters
    ----------
    site
        Whose.
    run
        The run's id: another run's cells are never taken.
    """

    def __init__(self, site: Site, run: str):
        self.site = site
        name = hashlib.blake2b(f"{site.fingerprint} {run}".encode(), digest_size=8).hexdigest()
        self.folder = site.cache_dir / f"evaluation-{name}"

    def keep(self, name: str, cells: np.ndarray) -> None:
        """Keep (n_cells, n_dims) under a name."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder) as partial:
            np.save(Path(partial) / "cells.npy", cells)
            (Path(partial) / "cells.npy").replace(self.folder / f"{name}.npy")

    def read(self, name: str) -> np.ndarray:
        """What was kept, float64.

        Raises
        ------
        InputError
            Nothing was.
        """
        path = self.folder / f"{name}.npy"
        if not path.is_file():
            raise InputError(
                f"{path} is gone: leave cache-dir alone to the end of a run",
                public="what the site kept for the evaluation is gone from its cache",
            )
        return np.load(path).astype(np.float64)

    def drop(self) -> None:
        """Remove them; of a simulated site the whole cache."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.site.simulated:
            self.site.drop_cache()
