"""A site's cells in all views, kept in its cache from one phase of an evaluation to the next."""

import hashlib
import shutil
import tempfile
from pathlib import Path

import numpy as np

from client.site import Site
from common.errors import InputError


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
        name = hashlib.blake2b(run.encode(), digest_size=8).hexdigest()
        self.folder = site.cache_dir / f"{self._prefix}{name}"

    @property
    def _prefix(self) -> str:
        return f"{self.site.fingerprint[:16]}-evaluation-"

    def begin(self) -> None:
        """Remove what earlier runs left that were not evaluated to the end."""
        for folder in self.site.cache_dir.glob(f"{self._prefix}*"):
            shutil.rmtree(folder, ignore_errors=True)

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
