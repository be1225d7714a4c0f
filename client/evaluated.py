"""The cells that an evaluation compares: as they were, and as the corrected file has them."""

from collections.abc import Iterator

import h5py
import numpy as np

from client.site import Site
from common.coding import CHUNK
from common.data.matrix import CLIP
from common.errors import InputError
from common.federated_evaluation.views import UNCORRECTED
from common.panel import Panel


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
