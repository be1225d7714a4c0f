"""Does the federated evaluation rank runs as the pooled metrics of mixing do?

Runs of different quality over the same cells, a site per batch: other settings, less training, half
a correction, none; and two controls that mix perfectly and are worth nothing: a network that was
not trained, and one that collapsed under its KL weight. A run in which pooled purity falls below
half of that of uncorrected cells has collapsed as well. Each is scored twice: by sums over sites at
the end of the run, and by kNN metrics and silhouettes on all cells together.

The score's form was chosen on the first four data sets; the others are the check. Named data sets
alone are measured anew, the figures of the others stay.

`python -m bench.federated_evaluation DATA_DIR [DATASET ...]`.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anndata
import numpy as np
from scipy.stats import rankdata, spearmanr

from bench.in_process import run_in_process
from bench.report import RESULTS, keep
from common.data.split import split_file
from report.federated_evaluation import FILE
from report.run_evaluation import evaluate_run

DATASETS = (
    "pancreas_human_3study_mini",
    "cellline_mixology_5batch",
    "pbmc_5study",
    "brain_oligo_6region",
    "pbmc_kang_8donor",
)
# Of larger data so many cells of each batch, at random: 18 runs are made.
LARGE, CELLS_PER_BATCH = 3000, 500
NAME = "federated_evaluation"
# Masks cancel to the bit: plain sums give the same, sooner.
PLAIN = {"secure-sum": "off"}
FEDSCGEN = {"preset": "fedscgen"}
UNCORRECTED = "nothing corrected"
RUNS: dict[str, dict[str, Any]] = {
    "default": {},
    "means alone": {"alignment": "mean"},
    "no smoothing": {"smoothing": 0.0},
    "full smoothing": {"smoothing": 1.0},
    "means alone, no smoothing": {"alignment": "mean", "smoothing": 0.0},
    "10 latents": {"latent-dim": 10},
    "3 latents, means alone": {"latent-dim": 3, "alignment": "mean"},
    "1 round": {"rounds": 1},
    "KL weight 0.1": {"kl-weight": 0.1},
    "large batches alone are references": {"min-reference-cells": 90},
    UNCORRECTED: {"min-reference-cells": 10**6},
    "fedscgen": FEDSCGEN,
    "fedscgen, 2 rounds": {**FEDSCGEN, "rounds": 2},
    "fedscgen, 1 epoch": {**FEDSCGEN, "rounds": 1, "local-epochs": 1},
    "fedscgen, covariances": {**FEDSCGEN, "alignment": "covariance"},
    "fedscgen, 3 latents": {**FEDSCGEN, "latent-dim": 3},
}
CONTROLS: dict[str, dict[str, Any]] = {
    "untrained": {**FEDSCGEN, "rounds": 1, "local-epochs": 1, "learning-rate": 1e-9},
    "collapsed": {**FEDSCGEN, "kl-weight": 100.0},
}
# What judges mixing in the table of `syncytium evaluate`, within cell types where it can.
POOLED = ("entropy_of_batch_mixing", "ilisi", "kbet_per_type", "silhouette_batch")
OUTPUTS = ("decoded", "residual")
LEAST = 0.8
COLLAPSED = 0.5


def scored(data: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Both evaluations of one run."""
    with tempfile.TemporaryDirectory() as folder:
        out, start = Path(folder) / "run", time.perf_counter()
        run = run_in_process(out, data, {"output": "both", **PLAIN, **settings})
        run_seconds = time.perf_counter() - start
        federated = json.loads((out / FILE).read_text())
        if not federated["evaluated"]:
            raise RuntimeError(federated["reason"])
        pooled = evaluate_run(out)
    return {
        "rounds": run.get("stopped_early") or run["n_rounds"],
        "seconds": federated["seconds"],
        "run_seconds": round(run_seconds, 2),
        "pooled_seconds": pooled["seconds"],
        "reconstruction": federated["reconstruction"],
        "federated": {
            output: {
                "score": federated["scores"][output]["value"],
                "reason": federated["scores"][output]["reason"],
                **federated["overall"]["expression"][output],
                **{f"latent_{k}": v for k, v in federated["overall"]["latent"][output].items()},
            }
            for output in OUTPUTS
        },
        "pooled": {
            output: {name: one["value"] for name, one in pooled["overall"][output].items()}
            for output in OUTPUTS
        },
    }


def collapsed(runs: dict[str, dict[str, Any]], output: str) -> set[str]:
    """The controls, and the runs that mixed the types too, by the pooled metric."""
    purity = {name: run["pooled"][output]["knn_purity"] for name, run in runs.items()}
    least = COLLAPSED * purity[UNCORRECTED]
    return set(CONTROLS) | {name for name, value in purity.items() if value < least}


def compare(runs: dict[str, dict[str, Any]], output: str) -> dict[str, Any]:
    """Rank correlations over the runs, and where those come that collapsed."""
    last = collapsed(runs, output)
    names = [name for name in runs if name not in last]

    def column(kind: str, figure: str, among: list[str]) -> np.ndarray:
        values = [runs[name][kind][output][figure] for name in among]
        return np.array([np.nan if value is None else value for value in values], dtype=float)

    def spearman(figure: str, sign: int, among: list[str]) -> dict[str, float]:
        own = sign * column("federated", figure, among)
        pooled = {name: column("pooled", name, among) for name in POOLED}
        # A score that is not defined is the worst.
        pooled = {k: np.nan_to_num(v, nan=-1.0) for k, v in pooled.items()}
        mean_rank = np.mean([rankdata(values) for values in pooled.values()], axis=0)
        return {
            name: round(float(spearmanr(own, values).statistic), 3)
            for name, values in {**pooled, "mean_rank": mean_rank}.items()
        }

    scores = {name: runs[name]["federated"][output]["score"] for name in runs}
    order = sorted(scores, key=lambda name: scores[name], reverse=True)
    return {
        "order": order,
        "scores": scores,
        "spearman": spearman("score", 1, names),
        "spearman_by_figure": {
            f"{space}{figure}": spearman(f"{space}{figure}", -1, names)
            for space in ("", "latent_")
            for figure in ("batch_share", "batch_share_of_products", "batch_probe")
        },
        # The controls mix well by every such metric: only the score knows them.
        "spearman_with_controls_of_batch_share": spearman("batch_share", -1, list(runs)),
        "n_runs": len(names),
        "collapsed": sorted(last),
        "collapsed_last": set(order[-len(last) :]) == last,
    }


def site_files(path: Path, folder: Path) -> Path:
    """A file for each batch, in a new folder."""
    data = anndata.read_h5ad(path)
    if data.n_obs > LARGE:
        rng = np.random.default_rng(0)
        of_batch = data.obs.groupby("batch", observed=True).indices.values()
        rows = [rng.permutation(own)[:CELLS_PER_BATCH] for own in of_batch]
        path = folder / "fewer.h5ad"
        data[np.sort(np.concatenate(rows))].copy().write_h5ad(path)
    split_file(path, "batch", folder / "sites")
    return folder / "sites"


def judged(dataset: str, by_output: dict[str, dict[str, Any]]) -> dict[str, bool]:
    """What is claimed of one data set."""
    claims = {}
    for output, found in by_output.items():
        rho, n_runs = found["spearman"]["mean_rank"], found["n_runs"]
        claims[
            f"{dataset}, {output}: Spearman {rho:.3f} with the mean rank of pooled mixing over "
            f"{n_runs} runs"
        ] = rho >= LEAST
        last = ", ".join(found["collapsed"])
        claims[f"{dataset}, {output}: last are {last}"] = found["collapsed_last"]
    return claims


def main(data_dir: Path, datasets: tuple[str, ...]) -> None:
    kept = RESULTS / f"{NAME}.json"
    earlier = json.loads(kept.read_text()) if kept.exists() and datasets != DATASETS else {}
    measured = {name: earlier[name]["runs"] for name in DATASETS if name in earlier}
    for dataset in datasets:
        with tempfile.TemporaryDirectory() as folder:
            sites = site_files(data_dir / f"{dataset}.h5ad", Path(folder))
            measured[dataset] = {}
            for name, settings in {**RUNS, **CONTROLS}.items():
                measured[dataset][name] = run = scored(sites, settings)
                print(dataset, name, run["federated"]["decoded"]["score"], flush=True)
    results, claims = {}, {}
    for dataset, runs in measured.items():
        by_output = {output: compare(runs, output) for output in OUTPUTS}
        results[dataset] = {
            "median_seconds": statistics.median(run["seconds"] for run in runs.values()),
            "median_run_seconds": statistics.median(run["run_seconds"] for run in runs.values()),
            "comparison": by_output,
            "runs": runs,
        }
        claims |= judged(dataset, by_output)
    keep(NAME, {"settings": {**RUNS, **CONTROLS}, **results, "claims": claims})


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), tuple(sys.argv[2:]) or DATASETS)
