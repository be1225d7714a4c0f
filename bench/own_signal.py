"""How much of the cells' own signal `residual` keeps, beside `decoded`, and how well both mix.

Within one batch, where no batch effect is to be removed, corrected expression should say what the
uncorrected one does: of a type, the correlations between genes; of types, which genes differ.

`python -m bench.own_signal DATA_DIR [SEEDS]`.
"""

import statistics
import sys
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bench.report import keep
from cli.run import execute
from common.data.split import split_file
from common.metrics.embedded import Embedded
from common.metrics.registry import METRICS
from report.corrected_files import corrected_files
from report.evaluation import principal_components
from report.run_evaluation import Gathered, gather

DATASETS = ("pancreas_human_3study_mini", "cellline_mixology_5batch", "pbmc_5study")
OUTPUTS = ("decoded", "residual")
N_VARIABLE, LEAST_CELLS, LEVEL, LEAST_CHANGE = 200, 30, 0.05, 0.25
MOST_LOST = 0.02
# Masks cancel to the bit: plain sums give the same, sooner.
SETTINGS = {"output": "both", "patience": 0, "secure-sum": "off", "evaluate": False}
# How genes are called differential. Ranks follow the least shift of a gene that is zero in most
# cells, so that a least change matters to Wilcoxon's test of anything but counts.
CALLS = {
    "wilcoxon": ("wilcoxon", 0.0),
    "wilcoxon_changed": ("wilcoxon", LEAST_CHANGE),
    "t_test": ("t-test", 0.0),
    "t_test_changed": ("t-test", LEAST_CHANGE),
}
SIGNALS = {
    "correlation_difference": "mean |difference| of correlations of the 200 most variable genes",
    "correlation_agreement": "correlation of these correlations with the uncorrected ones",
    "fold_change_agreement": "rank correlation of log fold changes with the uncorrected ones",
    "de_CALL_jaccard": "genes called in both / in either, alike in direction; Benjamini-Hochberg "
    "5 %; changed: and means of log1p CP10k differ by 0.25 or more",
    "de_CALL_precision": "of the genes called in the output, called in uncorrected",
    "de_CALL_recall": "of the genes called in uncorrected, called in the output",
}

Signals = dict[str, float]


def correlations(x: np.ndarray) -> np.ndarray:
    """Upper triangle of the correlations between columns; 0 with a constant one."""
    with np.errstate(invalid="ignore", divide="ignore"):
        matrix = np.corrcoef(x, rowvar=False)
    return np.nan_to_num(matrix[np.triu_indices(len(matrix), 1)])


def compare_correlations(before: np.ndarray, after: np.ndarray) -> Signals:
    """Cells of one batch and type, (n_cells, n_genes), before and after."""
    variable = np.argsort(before.var(axis=0))[-N_VARIABLE:]
    own, kept = correlations(before[:, variable]), correlations(after[:, variable])
    return {
        "correlation_difference": float(np.abs(own - kept).mean()),
        "correlation_agreement": float(np.corrcoef(own, kept)[0, 1]),
    }


def adjusted_p_values(x: np.ndarray, cell_type: np.ndarray, test: str) -> dict[str, np.ndarray]:
    """Of each type against the others, (n_genes,), by Benjamini and Hochberg."""
    import anndata
    import pandas as pd
    import scanpy as sc

    names = np.arange(len(x)).astype(str)
    obs = pd.DataFrame({"type": pd.Categorical(cell_type)}, index=names)
    cells = anndata.AnnData(x, obs=obs)
    cells.uns["log1p"] = {"base": None}
    ties = {"tie_correct": True} if test == "wilcoxon" else {}
    with np.errstate(all="ignore"), warnings.catch_warnings():
        # Its fold changes are of exponentials; those of reconstructions below 0 have no logarithm.
        warnings.simplefilter("ignore", RuntimeWarning)
        sc.tl.rank_genes_groups(cells, "type", method=test, **ties)
    tables = {name: sc.get.rank_genes_groups_df(cells, name) for name in sorted(set(cell_type))}
    return {
        name: table.set_index("names").loc[cells.var_names, "pvals_adj"].to_numpy()
        for name, table in tables.items()
    }


def changes(x: np.ndarray, cell_type: np.ndarray) -> dict[str, np.ndarray]:
    """Log fold changes of each type against the others, (n_genes,), natural logarithm."""
    return {
        name: x[cell_type == name].mean(axis=0) - x[cell_type != name].mean(axis=0)
        for name in sorted(set(cell_type))
    }


def agreement(own: np.ndarray, kept: np.ndarray) -> tuple[float, float, float]:
    """Jaccard index, precision and recall of calls -1, 0 and 1, (n_genes,) each."""
    both = np.count_nonzero((own == kept) & (own != 0))
    n_own, n_kept = np.count_nonzero(own), np.count_nonzero(kept)
    return both / max(n_own + n_kept - both, 1), both / max(n_kept, 1), both / max(n_own, 1)


def compare_calls(before: np.ndarray, after: np.ndarray, cell_type: np.ndarray) -> list[Signals]:
    """Types of one batch, each against the others, before and after."""
    from scipy.stats import spearmanr

    change = [changes(x, cell_type) for x in (before, after)]
    found: dict[str, Signals] = {
        name: {"fold_change_agreement": float(spearmanr(own, change[1][name]).statistic)}
        for name, own in change[0].items()
    }
    tests = {test for test, _ in CALLS.values()}
    p_values = {
        test: [adjusted_p_values(x, cell_type, test) for x in (before, after)] for test in tests
    }
    for call, (test, least) in CALLS.items():
        for name, signals in found.items():
            own, kept = (
                np.sign(of[name]) * ((p[name] < LEVEL) & (np.abs(of[name]) >= least))
                for of, p in zip(change, p_values[test], strict=True)
            )
            for what, value in zip(
                ("jaccard", "precision", "recall"), agreement(own, kept), strict=True
            ):
                signals[f"de_{call}_{what}"] = value
    return list(found.values())


def own_signal(
    before: np.ndarray, after: np.ndarray, batch: np.ndarray, cell_type: np.ndarray
) -> Signals:
    """Each of ``SIGNALS``, its mean over batches and types of at least 30 cells.

    Parameters
    ----------
    before, after
        (n_cells, n_genes) log1p CP10k.
    batch, cell_type
        (n_cells,).
    """
    found: dict[str, list[float]] = defaultdict(list)
    for name in np.unique(batch.astype(str)):
        rows = np.flatnonzero(batch == name)
        types, counts = np.unique(cell_type[rows].astype(str), return_counts=True)
        types = types[(counts >= LEAST_CELLS) & ~np.isin(types, ("None", ""))]
        rows = rows[np.isin(cell_type[rows], types)]
        signals = [
            compare_correlations(before[own], after[own])
            for own in (rows[cell_type[rows] == one] for one in types)
        ]
        if len(types) > 1:
            signals += compare_calls(before[rows], after[rows], cell_type[rows])
        for signal in signals:
            for key, value in signal.items():
                found[key].append(value)
    return {name: statistics.mean(values) for name, values in found.items()}


def mixing(cells: Gathered) -> dict[str, float]:
    """Entropy of batch mixing of each output, on 20 principal components as `evaluate` has it."""
    labels = (np.concatenate(cells.batch), np.concatenate(cells.cell_type))
    metric = METRICS.get("entropy_of_batch_mixing")
    return {
        name: metric(Embedded(principal_components(np.concatenate(parts), 20, 0), *labels)).value
        for name, parts in cells.after.items()
    }


def one_run(sites: Path, seed: int) -> dict[str, Signals]:
    """Signals and mixing of each output after one run of the default preset."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        execute({"data": str(sites), "seed": seed, **SETTINGS}, out)
        files = corrected_files(out)
        cells, _ = gather(files, max_cells=sum(file.n_cells for file in files), seed=0)
    scaling = files[0].panel.scaling()
    before, batch, cell_type = map(np.concatenate, (cells.before, cells.batch, cells.cell_type))
    mixed = mixing(cells)
    return {
        name: own_signal(
            before * scaling.sd + scaling.mean,
            np.concatenate(cells.after[name]) * scaling.sd + scaling.mean,
            batch,
            cell_type,
        )
        | {"entropy_of_batch_mixing": mixed[name]}
        for name in OUTPUTS
    }


def judged(name: str, mean: Mapping[str, Signals]) -> dict[str, bool]:
    """What is claimed of one dataset."""
    decoded, residual = mean["decoded"], mean["residual"]
    calls = (f"de_{call}_jaccard" for call in CALLS)
    kept = ("correlation_agreement", "fold_change_agreement", *calls)
    text = {key: f"residual {residual[key]:.3f}, decoded {decoded[key]:.3f}" for key in decoded}
    lost = decoded["entropy_of_batch_mixing"] - residual["entropy_of_batch_mixing"]
    away = "correlation_difference"
    return {
        f"{name}, {away}: {text[away]}": residual[away] < decoded[away],
        **{f"{name}, {key}: {text[key]}": residual[key] > decoded[key] for key in kept},
        f"{name}, mixing: {text['entropy_of_batch_mixing']} (at most {MOST_LOST} lower)": (
            lost <= MOST_LOST
        ),
    }


def main(data_dir: Path, n_seeds: int) -> None:
    results, claims = {}, {}
    for name in DATASETS:
        with tempfile.TemporaryDirectory() as folder:
            split_file(data_dir / f"{name}.h5ad", "batch", Path(folder) / "sites")
            runs = [one_run(Path(folder) / "sites", seed) for seed in range(n_seeds)]
        mean = {
            output: {key: statistics.mean(run[output][key] for run in runs) for key in run_keys}
            for output in OUTPUTS
            for run_keys in [runs[0][output]]
        }
        results[name] = {"mean": mean, "by_seed": runs}
        claims |= judged(name, mean)
    figures = {"seeds": n_seeds, "signals": SIGNALS, "datasets": results, "claims": claims}
    keep("own_signal", figures)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), int(sys.argv[2]) if len(sys.argv) > 2 else 5)
