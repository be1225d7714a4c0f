"""Runs of `synthesize` over files of sites, for benchmarks: scores, seconds and bytes."""

import json
import time
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd

from bench.in_process import run_in_process
from bench.synthesis_data import Fold
from common.synthesis.pooled import fit_pooled
from common.synthesis.registry import GENERATORS
from common.synthesis.rule import generator_for
from common.synthesis.scores.prediction import prediction
from report.run_record import RunRecord
from report.traffic import by_site

RULE, DELTA = "rule", 1e-5
DONOR = "donor"


def chosen(fold: Fold, name: str, epsilon: float) -> tuple[str, dict[str, Any]]:
    """A generator and its options: by themselves, or the rule's."""
    if name != RULE:
        return name, {}
    schema = fold.schema
    size = fold.train.n_units, schema.n_genes, schema.n_classes
    return generator_for(*size, epsilon, DELTA, counts=schema.counts)


def score(values: np.ndarray, classes: np.ndarray, fold: Fold) -> dict[str, float]:
    """TSTR by logistic regression."""
    test = fold.scored(fold.test.values), fold.test.classes
    found = prediction((fold.scored(values), classes), test)
    return {key: found[key] for key in ("accuracy", "macro_f1")}


def pooled(fold: Fold, name: str, epsilon: float, seed: int) -> dict[str, float]:
    """Scores of one trusted centre's cohort."""
    name, options = chosen(fold, name, epsilon)
    generator = GENERATORS.get(name)(fold.schema, epsilon, DELTA, options)
    state = fit_pooled(generator, [fold.train])
    counts = np.full(fold.schema.n_classes, fold.samples)
    if fold.samples is None:
        # A classifier needs two records of each class.
        counts = np.maximum(np.rint(generator.class_counts(state)), 2).astype(np.int64)
    return score(*generator.sample(state, counts, np.random.default_rng(seed)), fold)


def write_sites(fold: Fold, site: np.ndarray, folder: Path) -> Path:
    """A file for each site."""
    folder.mkdir(parents=True)
    names = np.array(fold.schema.classes)[fold.train.classes]
    for number, name in enumerate(np.unique(site)):
        rows = site == name
        about = {"cell_type": names[rows], DONOR: [f"unit {u}" for u in fold.train.units[rows]]}
        obs = pd.DataFrame(about, index=[f"r{i}" for i in np.flatnonzero(rows)])
        data = anndata.AnnData(fold.train.values[rows].astype(np.float32), obs=obs)
        data.var_names = list(fold.schema.genes)
        data.write_h5ad(folder / f"site-{number}.h5ad")
    return folder


def federated(
    fold: Fold,
    data: Path,
    out: Path,
    name: str,
    epsilon: float,
    *,
    flower: bool = False,
    **more: Any,
) -> tuple[dict[str, float], dict[str, Any]]:
    """One masked run: its scores; and seconds, most bytes of a site, and noise.

    ``flower`` starts Flower's own processes, as `syncytium run` does; else all is in this one.
    """
    name, options = chosen(fold, name, epsilon)
    settings = {
        "task": "synthesize",
        "generator": name,
        "generator-options": ", ".join(f"{k} = {json.dumps(v)}" for k, v in options.items()),
        "epsilon": epsilon,
        "delta": DELTA,
        "value-low": fold.schema.low,
        "value-high": fold.schema.high,
        "classes": ",".join(fold.schema.classes),
        "batch-key": "",
        "samples-per-class": fold.samples or 0,
        **more,
    }
    if fold.schema.counts:
        settings["expression"] = "counts"
    if fold.schema.unit == "donor":
        settings |= {"privacy-unit": "donor", "donor-key": DONOR}
        settings["most-records"] = fold.schema.most_records
    start = time.perf_counter()
    if flower:
        from cli.run import execute

        run = execute({"data": str(data), **settings}, out)
    else:
        run = run_in_process(out, data, settings)
    seconds = time.perf_counter() - start
    traffic = by_site(RunRecord.read(out))
    about = {
        "seconds": seconds,
        "sent": max(one.masked + one.public for one in traffic),
        "received": max(one.received for one in traffic),
        "sigma": {stage: v["sigma"] for stage, v in run["privacy"]["stages"].items()},
    }
    # A run has its genes in an order of its own.
    made = anndata.read_h5ad(out / "synthetic.h5ad")[:, list(fold.schema.genes)]
    codes = {name: code for code, name in enumerate(fold.schema.classes)}
    classes = np.array([codes[name] for name in made.obs["cell_type"].astype(str)])
    return score(np.asarray(made.X, dtype=np.float64), classes, fold), about
