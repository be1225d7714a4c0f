"""A site that joins later by the bundle, against the same site in the run, and a frozen model.

One site is left out; the others run; it joins with their bundle, or takes part in a run with the
bundle's model, frozen. All corrected files together are scored, and beside that how well the
batches are mixed around the joined site's own cells alone.

`python -m bench.joining DATA_DIR [SEED]`.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.in_process import run_in_process
from bench.report import keep
from client.joining import join
from common.data.split import split_file
from common.metrics.embedded import Embedded
from common.metrics.entropy_of_batch_mixing import entropy_per_cell
from report.corrected_files import corrected_files
from report.evaluation import principal_components
from report.run_evaluation import evaluate_run, gather

# The sites that are left out in turn; () = each of them.
DATASETS = {
    "pancreas_human_3study_mini": (),
    "cellline_mixology_5batch": (),
    "pbmc_5study": ("10x_pbmc4k_v2", "kang_stim"),
}
# The second is over the cells whose type two batches or more hold: the others have nobody to mix
# with, and the less they mix the better their types are kept.
MIXING = {
    "entropy_of_batch_mixing": "all cells",
    "entropy_of_batch_mixing_shared": "cells of shared types",
    "entropy_of_batch_mixing_own": "its own cells of shared types",
}
OTHERS = ("knn_purity", "nmi_best", "silhouette_label")
MARGIN = 0.03
N_PCS, MAX_CELLS = 20, 20_000


def scores(folder: Path, site: str) -> dict[str, float]:
    """Of the decoded cells of all files in a folder, and around one site's cells."""
    overall = evaluate_run(folder)["overall"]["decoded"]
    whole, shared, own = MIXING
    scored = {name: overall[name]["value"] for name in (whole, shared, *OTHERS)}
    return scored | {own: own_mixing(folder, site)}


def own_mixing(folder: Path, site: str) -> float:
    """Entropy of batch mixing, mean over one site's cells of shared types among those of all."""
    cells, _ = gather(corrected_files(folder), max_cells=MAX_CELLS, seed=0)
    batch = np.concatenate(cells.batch)
    x = principal_components(np.concatenate(cells.after["decoded"]), N_PCS, 0)
    embedded = Embedded(x, batch, np.concatenate(cells.cell_type))
    shared = [name for name, n in embedded.batches_per_type.items() if n > 1]
    own = np.array([str(name).startswith(f"{site}/") for name in batch])
    return float(entropy_per_cell(embedded)[own & np.isin(embedded.cell_type, shared)].mean())


def left_out(sites: Path, site: str, took_part: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Scores with one site having taken part, having joined, and with its run frozen."""
    with tempfile.TemporaryDirectory() as folder:
        others, run, frozen = (Path(folder) / name for name in ("others", "run", "frozen"))
        others.mkdir()
        for path in sites.glob("*.h5ad"):
            if path.stem != site:
                (others / path.name).symlink_to(path)
        run_in_process(run, others, settings)
        out = run / "sites" / site
        reading = {"report": False, "device": settings["device"]}
        joined = join(run / "bundle", sites / f"{site}.h5ad", out, settings={}, reading=reading)
        run_in_process(frozen, sites, {**settings, "model": str(run / "bundle")})
        return {
            "joined": scores(run, site),
            "frozen": scores(frozen, site),
            "took_part": scores(took_part, site),
            "shifted": [joined.counts["n_shifted"], joined.counts["n_cells"]],
            "unshifted": dict(joined.unshifted),
        }


def main(data_dir: Path, seed: int) -> None:
    settings = {"seed": seed, "device": "cpu", "secure-sum": "off", "evaluate": False}
    results: dict[str, Any] = {}
    claims: dict[str, bool] = {}
    for name, chosen in DATASETS.items():
        with tempfile.TemporaryDirectory() as folder:
            sites, took_part = Path(folder) / "sites", Path(folder) / "run"
            files = split_file(data_dir / f"{name}.h5ad", "batch", sites)
            run_in_process(took_part, sites, settings)
            results[name] = {
                site: left_out(sites, site, took_part, settings)
                for site in chosen or [path.stem for path in files]
            }
        for site, by_way in results[name].items():
            for way in ("joined", "frozen"):
                for metric, cells in MIXING.items():
                    now, then = by_way[way][metric], by_way["took_part"][metric]
                    claim = (
                        f"{name}, {site} {way}: mixing of {cells} {now:.3f}, having taken part "
                        f"{then:.3f}, difference {now - then:+.3f}"
                    )
                    claims[claim] = now - then >= -MARGIN
    keep("joining", {"seed": seed, "margin": MARGIN, "datasets": results, "claims": claims})


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), int(sys.argv[2]) if len(sys.argv) > 2 else 42)
