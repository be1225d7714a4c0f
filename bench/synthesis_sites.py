"""Sites beside one centre at the same epsilon, and generators where sites or cohorts differ.

*Sites*: whole masked runs of the first fold's training records: as the file has them (`site8`), or
dealt to sites alike or by a Dirichlet distribution of 0.3 over labels; beside them the pooled
records with a trusted centre's noise. Is accuracy of classifiers trained on the cohorts (TSTR) the
same within noise? What do they take of time and bytes? With lost and colluding sites stated, is the
sum's noise the centre's times sqrt(n / (n - lost - colluding))?

*Skewed*: the same of every other generator, labels dealt by Dirichlet.

*Cells*: the same of cells whose donors are the units, at 8 sites as they are.

*Flower*: time and bytes of 8 sites with Flower's own processes.

*Cohorts*: each generator fitted to all cohorts but one, scored on that one.

`python -m bench.synthesis_sites DATA_DIR [--seeds 10] [--epsilon 2] [--generators A,B]
[--parts sites,skewed,cells,flower,cohorts]`; parts not asked for stay as they were.
"""

import argparse
import json
import logging
import math
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from bench.report import RESULTS, keep
from bench.synthesis_cells import donor_folds
from bench.synthesis_data import BRCA, TB, Fold, folds, left_out
from bench.synthesis_runs import RULE, federated, pooled, score, write_sites
from common.comparison.statistics import interval
from common.data.deal import deal_cells

NAME, ALPHA, MB = "synthesis_sites", 0.3, 1e6
AS_THEY_ARE, SKEWED = "8 sites as they are", "8 sites, Dirichlet 0.3"
DEALT = {"2 sites alike": (2, None), "8 sites alike": (8, None), SKEWED: (8, ALPHA)}
GENERATORS_SHOWN = (RULE, "star", "copula", "cvae")
FEWER_SEEDS, SLOW = 3, "cvae"  # of cohorts left out, and of what is slow
# Where the covariance of all pairs of genes is released, too.
LARGE_EPSILON = 10.0
MOST_SECONDS, MOST_BYTES = 60.0, 5 * MB


def dealt(fold: Fold, title: str, seed: int) -> np.ndarray:
    """Each training record's site."""
    if title == AS_THEY_ARE:
        return fold.sites
    n_sites, alpha = DEALT[title]
    labels = np.array(fold.schema.classes, dtype=object)[fold.train.classes]
    return deal_cells(labels, n_sites, seed=seed, alpha=alpha, least_cells=5)


def beside_centre(
    fold: Fold, name: str, titles: Iterable[str], epsilon: float, seeds: int
) -> dict[str, Any]:
    """Scores of a centre, and of each dealing; their differences, seconds and bytes."""
    centre = [pooled(fold, name, epsilon, seed) for seed in range(seeds)]
    found: dict[str, Any] = {"centre": centre}
    for title in titles:
        runs = []
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as folder:
                data = write_sites(fold, dealt(fold, title, seed), Path(folder) / "data")
                out = Path(folder) / "out"
                scores, about = federated(fold, data, out, name, epsilon, seed=seed)
                runs.append(scores | about)
        apart = [a["accuracy"] - b["accuracy"] for a, b in zip(runs, centre, strict=True)]
        found[title] = {"runs": runs, "apart": vars(interval(apart))}
        print(line(name, title, found), flush=True)
    return found


def line(name: str, title: str, found: dict[str, Any]) -> str:
    """A row of a table."""
    runs, centre = found[title]["runs"], found["centre"]
    means = [np.mean([run["accuracy"] for run in some]) for some in (centre, runs)]
    f1 = [np.mean([run["macro_f1"] for run in some]) for some in (centre, runs)]
    cells = [f"{a:.3f} / {b:.3f}" for a, b in zip(means, f1, strict=True)]
    seconds = np.median([run["seconds"] for run in runs])
    sent, received = (max(run[key] for run in runs) / MB for key in ("sent", "received"))
    return (
        f"| {name} | {title} | centre {cells[0]} | sites {cells[1]} | {len(runs)} runs | "
        f"{seconds:.1f} s | {sent:.2f} MB up, {received:.2f} MB down |"
    )


def noise(fold: Fold, epsilon: float) -> dict[str, Any]:
    """Standard deviation of the noise in each sum, with and without sites that may be lost."""
    sds = {}
    with tempfile.TemporaryDirectory() as folder:
        data = write_sites(fold, dealt(fold, "8 sites alike", 0), Path(folder) / "data")
        for lost, colluding in ((0, 0), (1, 1)):
            how = {"noise-lost": lost, "noise-colluding": colluding}
            out = Path(folder) / f"out-{lost}"
            _, about = federated(fold, data, out, RULE, epsilon, **how)
            sds[f"{lost} lost, {colluding} colluding"] = about["sigma"]
    return sds


def by_flower(fold: Fold, epsilons: Iterable[float]) -> dict[str, Any]:
    """Of the sites as they are, with Flower's own processes and their start."""
    found = {}
    for epsilon in epsilons:
        with tempfile.TemporaryDirectory() as folder:
            data = write_sites(fold, fold.sites, Path(folder) / "data")
            out = Path(folder) / "out"
            scores, about = federated(fold, data, out, RULE, epsilon, flower=True)
        found[f"{epsilon:g}"] = scores | about
    return found


def cohorts(
    folder: Path, names: list[str], epsilons: Iterable[float], seeds: int
) -> dict[str, Any]:
    """Mean scores of each generator, and of real records, on each cohort left out."""
    found: dict[str, Any] = {}
    for cohort, fold in left_out(folder, TB):
        real = score(fold.train.values, fold.train.classes, fold)
        found[cohort] = {"real": real, "majority": {"accuracy": fold.commonest}}
        found[cohort]["n"] = len(fold.test.values)
        for name in names:
            for value in epsilons:
                runs = [pooled(fold, name, value, seed) for seed in range(seeds)]
                mean = {key: float(np.mean([r[key] for r in runs])) for key in runs[0]}
                found[cohort][f"{name} {value:g}"] = mean | {"runs": len(runs)}
        shown = {k: round(v["accuracy"], 3) for k, v in found[cohort].items() if k != "n"}
        print(cohort, found[cohort]["n"], shown, flush=True)
    return found


def claims_of(found: dict[str, Any]) -> dict[str, bool]:
    """Sites equal a centre, and are quick."""
    claims = {}
    of = {RULE: found.get("sites", {}), **found.get("skewed", {})}
    of["copula of cells, epsilon 10"] = found.get("cells", {})
    for name, parts in of.items():
        for title in (AS_THEY_ARE, *DEALT):
            if apart := parts.get(title, {}).get("apart"):
                text = f"{name}, {title}: accuracy beside a centre's {apart['mean']:+.3f} "
                text += f"({apart['low']:+.3f} to {apart['high']:+.3f}), {apart['n']} seeds"
                claims[text] = apart["low"] <= 0 <= apart["high"]
    if sds := found.get("sites", {}).get("noise"):
        plain, more = sds.values()
        ratios = [more[stage] / plain[stage] for stage in plain]
        claims[f"1 lost, 1 colluding of 8: noise x {max(ratios):.5f} = sqrt(8 / 6)"] = bool(
            np.allclose(ratios, math.sqrt(8 / 6), rtol=1e-6)
        )
    for epsilon, run in found.get("flower", {}).items():
        text = f"8 sites x 978 genes with Flower, epsilon {epsilon}: "
        claims[f"{text}{run['seconds']:.0f} s, below 60"] = run["seconds"] < MOST_SECONDS
        sent, received = run["sent"], run["received"]
        claims[f"{text}{sent / MB:.2f} MB up and {received / MB:.2f} down a site, below 5"] = (
            sent + received < MOST_BYTES
        )
    return claims


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epsilon", type=float, default=2.0)
    parser.add_argument("--parts", default="sites,skewed,cells,flower,cohorts")
    parser.add_argument("--generators", default=",".join(GENERATORS_SHOWN))
    asked = parser.parse_args()
    logging.getLogger("syncytium").setLevel(logging.WARNING)
    path = RESULTS / f"{NAME}.json"
    found = json.loads(path.read_text())["found"] if path.exists() else {}
    parts, names = asked.parts.split(","), asked.generators.split(",")
    fold, fewer = next(folds(asked.data, BRCA)), min(asked.seeds, FEWER_SEEDS)
    if "sites" in parts:
        titles = (AS_THEY_ARE, *DEALT)
        found["sites"] = beside_centre(fold, RULE, titles, asked.epsilon, asked.seeds)
        found["sites"]["noise"] = noise(fold, asked.epsilon)
    if "skewed" in parts:
        skewed = found.setdefault("skewed", {})
        for name in names:
            if name != RULE:
                seeds = fewer if name == SLOW else asked.seeds
                skewed[name] = beside_centre(fold, name, (SKEWED,), asked.epsilon, seeds)
    if "cells" in parts:
        # Runs differ much: ten tell little.
        cells = next(donor_folds(asked.data))
        found["cells"] = beside_centre(
            cells, "copula", (AS_THEY_ARE,), LARGE_EPSILON, 4 * asked.seeds
        )
    if "flower" in parts:
        found["flower"] = by_flower(fold, (asked.epsilon, LARGE_EPSILON))
    if "cohorts" in parts:
        epsilons = (asked.epsilon, LARGE_EPSILON, math.inf)
        for cohort, part in cohorts(asked.data, names, epsilons, fewer).items():
            found.setdefault("cohorts", {}).setdefault(cohort, {}).update(part)
    keep(NAME, {"epsilon": asked.epsilon, "found": found, "claims": claims_of(found)})


if __name__ == "__main__":
    main()
