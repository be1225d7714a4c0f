"""Federated against pooled correction on real data: a site per batch, or one site with all cells.

Both sides are the same product with the same settings: the same genes, network, seeds in pairs, and
number of epochs without early stopping, hence of mini-batches; the sites share them out.

`python -m bench.federated_vs_pooled DATA_DIR [SEEDS]`.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from bench.report import keep
from cli.run import execute
from common.data.split import split_file
from report.run_evaluation import evaluate_run

DATASETS = ("pancreas_human_3study_mini", "cellline_mixology_5batch", "pbmc_5study")
# The six that the aim names; the others of the table are kept as well.
AIMED = (
    "entropy_of_batch_mixing",
    "knn_purity",
    "ari_best",
    "nmi_best",
    "silhouette_label",
    "silhouette_batch",
)
MARGIN = 0.02
# One site has no sum to hide in.
SETTINGS = {"output": "both", "patience": 0, "secure-sum": "off", "min-sites": 1}


def scores(data: Path, seed: int) -> dict[str, dict[str, float]]:
    """Scores of each matrix after one run."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        execute({"data": str(data), "seed": seed, **SETTINGS}, out)
        overall = evaluate_run(out)["overall"]
    return {
        matrix: {name: score["value"] for name, score in by_metric.items()}
        for matrix, by_metric in overall.items()
    }


def compare(federated: list[float], pooled: list[float]) -> dict[str, float | bool | dict]:
    """Paired differences over seeds, and whether they keep within the margin."""
    differences = [f - p for f, p in zip(federated, pooled, strict=True)]
    mean = statistics.mean(differences)
    two_se = 2 * statistics.stdev(differences) / len(differences) ** 0.5
    return {
        "by_seed": {"federated": federated, "pooled": pooled},
        "federated": statistics.mean(federated),
        "pooled": statistics.mean(pooled),
        "difference": mean,
        "two_standard_errors": two_se,
        "not_worse": mean >= -max(MARGIN, two_se),
    }


def main(data_dir: Path, n_seeds: int) -> None:
    results, claims = {}, {}
    for name in DATASETS:
        with tempfile.TemporaryDirectory() as folder:
            sites, whole = Path(folder) / "sites", Path(folder) / "whole"
            split_file(data_dir / f"{name}.h5ad", "batch", sites)
            whole.mkdir()
            (whole / "all.h5ad").symlink_to(data_dir / f"{name}.h5ad")
            runs = [(scores(sites, seed), scores(whole, seed)) for seed in range(n_seeds)]
        results[name] = {"uncorrected": runs[0][0]["uncorrected"]}
        for output in ("decoded", "residual"):
            results[name][output] = {
                metric: compare(
                    [f[output][metric] for f, _ in runs], [p[output][metric] for _, p in runs]
                )
                for metric in runs[0][0][output]
            }
        for metric in AIMED:
            figures = results[name]["decoded"][metric]
            claim = (
                f"{name}, {metric}: federated {figures['federated']:.3f}, pooled "
                f"{figures['pooled']:.3f}, difference {figures['difference']:+.3f} "
                f"(two standard errors {figures['two_standard_errors']:.3f})"
            )
            claims[claim] = figures["not_worse"]
    figures = {"seeds": n_seeds, "settings": SETTINGS, "datasets": results, "claims": claims}
    keep("federated_vs_pooled", figures)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), int(sys.argv[2]) if len(sys.argv) > 2 else 5)
