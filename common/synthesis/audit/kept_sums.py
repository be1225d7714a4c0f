"""The noisy sums of a run in its folder, for an audit: as public as the cohort made of them."""

import os
from pathlib import Path

import numpy as np

FOLDER = "noisy_sums"
# Of all sums together; a network's steps are too many to be kept.
MOST_VALUES = 2_000_000


def keep_sum(run_dir: Path, number: int, total: np.ndarray, noise_sd: float) -> None:
    """Keep the noisy sum of a stage, 1 and on, under a temporary name first."""
    folder = run_dir / FOLDER
    folder.mkdir(exist_ok=True)
    partial = folder / f".{number}-{os.getpid()}.part"
    with partial.open("wb") as file:
        np.savez(file, total=np.asarray(total, dtype=np.float64), noise_sd=noise_sd)
    partial.replace(folder / f"{number}.npz")


def kept_sums(run_dir: Path, n_stages: int) -> tuple[list[np.ndarray], list[float]] | None:
    """Sums and standard deviations of their noise, of all stages; None where one is not there."""
    paths = [run_dir / FOLDER / f"{number}.npz" for number in range(1, n_stages + 1)]
    if not all(path.is_file() for path in paths):
        return None
    totals, sds = [], []
    for path in paths:
        with np.load(path) as kept:
            totals.append(kept["total"])
            sds.append(float(kept["noise_sd"]))
    return totals, sds
