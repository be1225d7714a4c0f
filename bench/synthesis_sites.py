"""Sites beside one centre at the same epsilon, and generators where sites or cohorts differ.

*Sites*: whole masked runs of the first fold's training records, dealt to sites alike or by a
Dirichlet distribution of 0.3 over labels; beside them the pooled records with a trusted centre's
noise. Is accuracy of classifiers trained on the cohorts (TSTR) the same within noise? And with lost
and colluding sites stated, is the sum's noise the centre's times sqrt(n / (n - lost - colluding))?

*Cohorts*: each generator fitted to all cohorts but one, scored on that one.

`python -m bench.synthesis_sites DATA_DIR [--seeds 10] [--epsilon 2] [--parts sites,cohorts]
[--generators A,B]`
"""

import argparse
import json
import logging
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd

from bench.in_process import run_in_process
from bench.report import RESULTS, keep
from bench.synthesis_data import BRCA, TB, Fold, folds, left_out
from common.comparison.statistics import interval
from common.data.deal import deal_cells
from common.synthesis.pooled import fit_pooled
from common.synthesis.registry import GENERATORS
from common.synthesis.rule import generator_for
from common.synthesis.scores.prediction import prediction

NAME, DELTA, ALPHA = "synthesis_sites", 1e-5, 0.3
DEALT = {
    "2 sites alike": (2, None),
    "8 sites alike": (8, None),
    "8 sites, Dirichlet 0.3": (8, ALPHA),
}
GENERATORS_SHOWN = ("gaussian", "star", "copula", "cvae")


def score(values: np.ndarray, classes: np.ndarray, fold: Fold) -> dict[str, float]:
    """TSTR by logistic regression."""
    found = prediction((values, classes), (fold.test.values, fold.test.classes))
    return {key: found[key] for key in ("accuracy", "macro_f1")}


def pooled(fold: Fold, name: str, options: dict[str, Any], epsilon: float, seed: int):
    """One trusted centre."""
    generator = GENERATORS.get(name)(fold.schema, epsilon, DELTA, options)
    state = fit_pooled(generator, [fold.train])
    counts = np.maximum(np.rint(generator.class_counts(state)), 2).astype(np.int64)
    return score(*generator.sample(state, counts, np.random.default_rng(seed)), fold)


def write_sites(fold: Fold, site: np.ndarray, folder: Path) -> Path:
    """A file for each site."""
    folder.mkdir(parents=True)
    names = np.array(fold.schema.classes)[fold.train.classes]
    for number in np.unique(site):
        rows = site == number
        obs = pd.DataFrame(
            {"cell_type": names[rows]}, index=[f"r{i}" for i in np.flatnonzero(rows)]
        )
        data = anndata.AnnData(fold.train.values[rows].astype(np.float32), obs=obs)
        data.var_names = list(fold.schema.genes)
        data.write_h5ad(folder / f"site-{number}.h5ad")
    return folder


def federated(fold: Fold, data: Path, out: Path, name: str, options: dict, epsilon: float, **more):
    """One masked run; its scores, its record."""
    written = ", ".join(f"{key} = {json.dumps(value)}" for key, value in options.items())
    settings = {
        "task": "synthesize",
        "generator": name,
        "generator-options": written,
        "epsilon": epsilon,
        "delta": DELTA,
        "value-low": fold.schema.low,
        "value-high": fold.schema.high,
        "classes": ",".join(fold.schema.classes),
        "batch-key": "",
        **more,
    }
    run = run_in_process(out, data, settings)
    # A run has its genes in an order of its own.
    made = anndata.read_h5ad(out / "synthetic.h5ad")[:, list(fold.schema.genes)]
    codes = {name: code for code, name in enumerate(fold.schema.classes)}
    classes = np.array([codes[name] for name in made.obs["cell_type"].astype(str)])
    return score(np.asarray(made.X, dtype=np.float64), classes, fold), run


def sites(fold: Fold, epsilon: float, seeds: int) -> dict[str, Any]:
    """Accuracy of each dealing, of the centre, and their differences."""
    n = len(fold.train.values)
    name, options = generator_for(n, fold.schema.n_genes, fold.schema.n_classes, epsilon, DELTA)
    centre = [pooled(fold, name, options, epsilon, seed) for seed in range(seeds)]
    found: dict[str, Any] = {"generator": name, "options": options, "centre": centre}
    labels = np.array(fold.schema.classes, dtype=object)[fold.train.classes]
    for title, (n_sites, alpha) in DEALT.items():
        rows, seconds = [], []
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as folder:
                dealt = deal_cells(labels, n_sites, seed=seed, alpha=alpha, least_cells=5)
                data = write_sites(fold, dealt, Path(folder) / "data")
                start, how = time.perf_counter(), {"seed": seed}
                out = Path(folder) / "out"
                scores, _ = federated(fold, data, out, name, options, epsilon, **how)
                seconds.append(time.perf_counter() - start)
                rows.append(scores)
        apart = [a["accuracy"] - b["accuracy"] for a, b in zip(rows, centre, strict=True)]
        found[title] = {"runs": rows, "seconds": seconds, "apart": vars(interval(apart))}
        print(title, found[title]["apart"], flush=True)
    with tempfile.TemporaryDirectory() as folder:
        data = write_sites(fold, deal_cells(labels, 8, seed=0), Path(folder) / "data")
        sds = {}
        for lost, colluding in ((0, 0), (1, 1)):
            how = {"noise-lost": lost, "noise-colluding": colluding}
            out = Path(folder) / f"out-{lost}"
            _, run = federated(fold, data, out, name, options, epsilon, **how)
            stages = run["privacy"]["stages"]
            sds[f"{lost} lost, {colluding} colluding"] = {k: v["sigma"] for k, v in stages.items()}
    found["noise"] = sds
    return found


def cohorts(folder: Path, names: list[str], epsilon: float, seeds: int) -> dict[str, Any]:
    """Mean scores of each generator, and of real records, on each cohort left out."""
    found: dict[str, Any] = {}
    for cohort, fold in left_out(folder, TB):
        real = score(fold.train.values, fold.train.classes, fold)
        found[cohort] = {"real": real}
        for name in names:
            for value in (epsilon, math.inf):
                runs = [pooled(fold, name, {}, value, seed) for seed in range(seeds)]
                mean = {key: float(np.mean([r[key] for r in runs])) for key in runs[0]}
                found[cohort][f"{name} {value:g}"] = mean
        print(
            cohort, {key: round(v["accuracy"], 3) for key, v in found[cohort].items()}, flush=True
        )
    return found


def claims_of(found: dict[str, Any]) -> dict[str, bool]:
    """Sites equal a centre."""
    claims = {}
    for title in DEALT:
        if title in found.get("sites", {}):
            apart = found["sites"][title]["apart"]
            text = f"{title}: accuracy beside a centre's {apart['mean']:+.3f} "
            text += f"({apart['low']:+.3f} to {apart['high']:+.3f}), {apart['n']} seeds"
            claims[text] = apart["low"] <= 0 <= apart["high"]
    if sds := found.get("sites", {}).get("noise"):
        plain, more = sds.values()
        ratios = [more[stage] / plain[stage] for stage in plain]
        claims[f"1 lost, 1 colluding of 8: noise x {max(ratios):.5f} = sqrt(8 / 6)"] = bool(
            np.allclose(ratios, math.sqrt(8 / 6), rtol=1e-6)
        )
    return claims


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epsilon", type=float, default=2.0)
    parser.add_argument("--parts", default="sites,cohorts")
    parser.add_argument("--generators", default=",".join(GENERATORS_SHOWN))
    asked = parser.parse_args()
    logging.getLogger("syncytium").setLevel(logging.WARNING)
    path = RESULTS / f"{NAME}.json"
    found = json.loads(path.read_text())["found"] if path.exists() else {}
    if "sites" in asked.parts.split(","):
        found["sites"] = sites(next(folds(asked.data, BRCA)), asked.epsilon, asked.seeds)
    if "cohorts" in asked.parts.split(","):
        found["cohorts"] = cohorts(
            asked.data, asked.generators.split(","), asked.epsilon, min(asked.seeds, 3)
        )
    keep(NAME, {"epsilon": asked.epsilon, "found": found, "claims": claims_of(found)})


if __name__ == "__main__":
    main()
