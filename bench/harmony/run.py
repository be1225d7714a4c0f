"""Harmony by the harmonypy that is on the path: an .npz with principal components in, one out.

`python run.py IN.npz OUT.npz`; IN holds x (n_cells, n_dims) and batch.

References
----------
Korsunsky et al. 2019 (Harmony), doi:10.1038/s41592-019-0619-0.
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd


def main(given: Path, wanted: Path) -> None:
    import harmonypy

    cells = np.load(given)
    batches = pd.DataFrame({"batch": cells["batch"].astype(str)})
    start = time.perf_counter()
    found = harmonypy.run_harmony(cells["x"], batches, ["batch"], verbose=False)
    about = {
        "harmonypy": version("harmonypy"),
        "train_seconds": round(time.perf_counter() - start, 2),
    }
    # Version 0.0.10 gives dimensions x cells.
    corrected = np.asarray(found.Z_corr)
    corrected = corrected if len(corrected) == len(batches) else corrected.T
    np.savez(wanted, decoded=corrected, about=json.dumps(about))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
