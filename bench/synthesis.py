"""Synthetic cohorts of two bulk cohorts by epsilon: how good are classifiers that they train?

`python -m bench.synthesis DATA_DIR`, or parts of it: `--datasets NAME,... --epsilons 1,inf
--generators rule,star --seeds 3`. ``rule`` is what common/synthesis/rule.py picks from the numbers
of records, genes and classes and epsilon. Records are pooled and the noise a trusted centre's; the
records made are as many as the noisy counts say. Noise is never repeatable: seeds are repeats.
"""

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.report import keep
from bench.synthesis_data import BRCA, TB, Fold, folds
from common.synthesis.pooled import fit_pooled
from common.synthesis.registry import GENERATORS
from common.synthesis.rule import generator_for
from common.synthesis.scores.correlations import correlation_mae
from common.synthesis.scores.marginals import wasserstein
from common.synthesis.scores.prediction import prediction
from common.synthesis.usefulness import usefulness

DELTA = 1e-5
EPSILONS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, math.inf)
REAL = "real"
# The issue's: figure, epsilon, at least or at most.
WANTED = (
    ("accuracy", 0.5, 0.68, 0.70),
    ("accuracy", 1.0, 0.79, 0.81),
    ("accuracy", 2.0, 0.82, 0.83),
    ("accuracy", 5.0, 0.84, 0.85),
    ("accuracy", 10.0, 0.84, 0.855),
    ("macro_f1", 1.0, 0.52, 0.60),
    ("macro_f1", 10.0, 0.74, 0.78),
    ("wasserstein", 10.0, 0.12, None),
    ("correlation_mae", 10.0, 0.10, None),
)


def synthetic(fold: Fold, name: str, epsilon: float, seed: int) -> dict[str, float]:
    """Figures of one synthetic cohort."""
    n, schema, options = len(fold.train.values), fold.schema, {}
    if name == "rule":
        name, options = generator_for(n, schema.n_genes, schema.n_classes, epsilon, DELTA)
    start = time.perf_counter()
    generator = GENERATORS.get(name)(schema, epsilon, DELTA, options)
    state = fit_pooled(generator, [fold.train])
    # A classifier needs two records of each class.
    counts = np.maximum(np.rint(state["class_units"]), 2).astype(np.int64)
    values, classes = generator.sample(state, counts, np.random.default_rng(seed))
    return scored(values, classes, fold, time.perf_counter() - start)


def scored(
    values: np.ndarray, classes: np.ndarray, fold: Fold, seconds: float = 0.0
) -> dict[str, float]:
    """Of records in place of the training ones; likeness is to the training records."""
    return {
        **prediction((values, classes), (fold.test.values, fold.test.classes)),
        "wasserstein": float(wasserstein(fold.train.values, values).mean()),
        "wasserstein_to_test": float(wasserstein(fold.test.values, values).mean()),
        "correlation_mae": correlation_mae(fold.train.values, values),
        "seconds": seconds,
    }


def row(rows: list[dict[str, float]]) -> dict[str, Any]:
    """Mean and standard deviation of each figure over folds and seeds."""
    columns = {key: [one[key] for one in rows] for key in rows[0]}
    return {k: {"mean": float(np.mean(v)), "sd": float(np.std(v))} for k, v in columns.items()}


def shown(name: str, epsilon: float | str, figures: dict[str, Any]) -> str:
    cells = [f"{f['mean']:.3f} +- {f['sd']:.3f}" for f in figures.values()]
    return f"| {name} | {epsilon} | " + " | ".join(cells) + " |"


def measure(
    folder: Path, dataset: str, generators: list[str], epsilons: list[float], seeds: int
) -> dict[str, Any]:
    """The table of one data set, printed row by row."""
    parts = list(folds(folder, dataset))
    figures = row([scored(f.train.values, f.train.classes, f) for f in parts])
    table = {REAL: figures}
    print(f"{dataset}\n| generator | epsilon | " + " | ".join(figures) + " |")
    print(shown(REAL, "-", figures), flush=True)
    for name in generators:
        for epsilon in epsilons:
            runs = [synthetic(f, name, epsilon, seed) for f in parts for seed in range(seeds)]
            table[f"{name} {epsilon:g}"] = row(runs)
            print(shown(name, epsilon, table[f"{name} {epsilon:g}"]), flush=True)
    return table


def claims_of(tables: dict[str, Any]) -> dict[str, bool]:
    """The issue's numbers, as far as they were measured."""
    claims, table = {}, tables.get(BRCA, {})
    for figure, epsilon, needed, aim in WANTED:
        if found := table.get(f"rule {epsilon:g}"):
            value, most = found[figure]["mean"], figure in ("wasserstein", "correlation_mae")
            text = f"{BRCA}, epsilon {epsilon:g}: {figure} {value:.3f}, "
            text += f"at {'most' if most else 'least'} {needed}" + (f", aim {aim}" if aim else "")
            claims[text] = value <= needed if most else value >= needed
    for dataset, n, k in ((BRCA, 871, 5), (TB, 237, 3)):
        if dataset in tables:
            graded = {e: usefulness(n, k, e, DELTA).grade for e in EPSILONS}
            said = ", ".join(f"{e:g} {grade}" for e, grade in graded.items())
            wanted = "none" if dataset == TB else "weak"
            claims[f"{dataset}: told before a run, by epsilon: {said}"] = (
                graded[0.5] == wanted and graded[math.inf] == "good"
            )
    return claims


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--datasets", default=f"{BRCA},{TB}")
    parser.add_argument("--epsilons", default=",".join(f"{e:g}" for e in EPSILONS))
    parser.add_argument("--generators", default="rule")
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    epsilons = [float(text) for text in asked.epsilons.split(",")]
    generators = asked.generators.split(",")
    tables = {
        dataset: measure(asked.data, dataset, generators, epsilons, asked.seeds)
        for dataset in asked.datasets.split(",")
    }
    settings = {"delta": DELTA, "seeds": asked.seeds, "adjacency": "add or remove one record"}
    keep("synthesis", {"settings": settings, "tables": tables, "claims": claims_of(tables)})


if __name__ == "__main__":
    main()
