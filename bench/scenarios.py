"""FedscGen's scenarios beyond the one in which all sites hold all types, against pooled.

`all`: the data as they are. `dropped`: the minority types are gone at one site, the one with most
cells of them. `combined`: at every site they go by one name, as sites do that do not tell them
apart; scored by the true names. Minority types are the rarer half of those that two batches or more
hold. Both sides see the same cells: a site per batch, or one site with all. The third scenario of
FedscGen, a site that comes later, is `bench/joining.py`.

`python -m bench.scenarios DATA_DIR [SEEDS]`.
"""

import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.correction_claims import WORSE_BY, paired
from bench.in_process import run_in_process
from bench.report import keep
from common.data.split import split_file
from common.metrics.embedded import Embedded
from common.metrics.registry import METRICS
from report.corrected_files import corrected_files
from report.evaluation import principal_components
from report.run_evaluation import gather

if TYPE_CHECKING:
    from anndata import AnnData

DATASETS = ("pancreas_human_3study_mini", "cellline_mixology_5batch")
SCORED = (
    "entropy_of_batch_mixing",
    "entropy_of_batch_mixing_shared",
    "knn_purity",
    "nmi_best",
    "ari_best",
    "silhouette_label",
    "silhouette_batch",
)
# The names that steer a correction, and those that score it.
STEERING, TRUE = "steering_type", "cell_type"
# One site has no sum to hide in.
SETTINGS = {
    "patience": 0,
    "secure-sum": "off",
    "min-sites": 1,
    "cell-type-key": STEERING,
    "evaluate": False,
}


def minority_types(data: "AnnData") -> list[str]:
    """The rarer half of the types that two batches or more hold, the rarest first."""
    batches = data.obs.groupby(TRUE, observed=True)["batch"].nunique()
    cells = data.obs[TRUE].value_counts()
    shared = sorted(batches.index[batches > 1], key=lambda name: (cells[name], name))
    return shared[: len(shared) // 2]


def all_types(data: "AnnData") -> "AnnData":
    """The data as they are."""
    return data


def dropped(data: "AnnData") -> "AnnData":
    """Without the minority types at the site that has most cells of them."""
    minority = data.obs[TRUE].isin(minority_types(data))
    largest = data.obs.loc[minority, "batch"].value_counts().idxmax()
    return data[~(minority & (data.obs["batch"] == largest))].copy()


def combined(data: "AnnData") -> "AnnData":
    """The minority types under one name; nothing to be done where there is one of them."""
    data = data.copy()
    minority = data.obs[TRUE].isin(minority_types(data))
    steering = data.obs[STEERING].astype(object)
    data.obs[STEERING] = steering.mask(minority, "minority").astype("category")
    return data


SCENARIOS: dict[str, Callable[["AnnData"], "AnnData"]] = {
    "all": all_types,
    "dropped": dropped,
    "combined": combined,
}


def scores(data: Path, seed: int) -> dict[str, float]:
    """Scores of `decoded` after one run, by the true names."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        run_in_process(out, data, {"seed": seed, **SETTINGS})
        files = corrected_files(out)
        files = [replace(file, keys={**file.keys, "cell_type_key": TRUE}) for file in files]
        cells, _ = gather(files, max_cells=sum(file.n_cells for file in files), seed=0)
    # Pooled, a file holds all batches; they are the same ones.
    batch = [name.rpartition("/")[2] for name in np.concatenate(cells.batch)]
    x = principal_components(np.concatenate(cells.after["decoded"]), 20, 0)
    embedded = Embedded(x, np.array(batch, object), np.concatenate(cells.cell_type))
    return {name: METRICS.get(name)(embedded).value for name in SCORED}


def compared(data: "AnnData", n_seeds: int) -> dict[str, Any]:
    """Federated and pooled runs of one scenario, by metric."""
    with tempfile.TemporaryDirectory() as folder:
        whole, sites = Path(folder) / "whole", Path(folder) / "sites"
        whole.mkdir()
        data.write_h5ad(whole / "all.h5ad")
        split_file(whole / "all.h5ad", "batch", sites)
        runs = [(scores(sites, seed), scores(whole, seed)) for seed in range(n_seeds)]
    found = {}
    for metric in SCORED:
        sides = [[run[side][metric] for run in runs] for side in (0, 1)]
        found[metric] = paired(*sides)
        for name, values in zip(("federated", "pooled"), sides, strict=True):
            found[metric] |= {name: statistics.mean(values), f"{name}_sd": statistics.stdev(values)}
    return found


def judged(where: str, found: dict[str, Any]) -> dict[str, bool]:
    """What is claimed of one scenario on one dataset."""
    return {
        f"{where}, {metric}: federated {f['federated']:.3f} (sd {f['federated_sd']:.3f}), pooled "
        f"{f['pooled']:.3f} (sd {f['pooled_sd']:.3f}); lower by at most {WORSE_BY} or two standard "
        f"errors ({f['two_standard_errors']:.3f})": f["not_worse"]
        for metric, f in found.items()
    }


def main(data_dir: Path, n_seeds: int) -> None:
    import anndata

    results: dict[str, Any] = {}
    claims: dict[str, bool] = {}
    for name in DATASETS:
        data = anndata.read_h5ad(data_dir / f"{name}.h5ad")
        data.obs[STEERING] = data.obs[TRUE]
        minority = minority_types(data)
        results[name] = {"minority_types": minority}
        for scenario, make in SCENARIOS.items():
            if scenario == "combined" and len(minority) < 2:
                continue
            found = compared(make(data), n_seeds)
            results[name][scenario] = found
            claims |= judged(f"{name}, {scenario}", found)
    keep("scenarios", {"seeds": n_seeds, "settings": SETTINGS, "data": results, "claims": claims})


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), int(sys.argv[2]) if len(sys.argv) > 2 else 5)
