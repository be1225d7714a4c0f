"""Classifiers trained jointly, on the pooled cells, and by each site alone, on the same test cells.

An experiment's file says what is run (conf/classify-*.toml): *intra* deals one data set to sites,
alike or with skewed labels; *as-is* takes each batch as a site; *inter* lets each batch in turn be
the test set of a classifier that the others train. What follows the classifier's name, as in
"actinn by fedavg", tells several settings of it apart. The test cells are taken out before
anything is chosen or trained; stopping, temperature and threshold are set on validation cells of
the sites.

`python -m bench.classification conf/classify-as-is.toml DATA_DIR [--seeds N] [--models A,B]
[--datasets A,B] [--ways federated,pooled,local]`. What an earlier run measured stays beside it.
"""

import argparse
import json
import statistics
import tempfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata
import numpy as np

from bench.classification_claims import claims_of
from bench.in_process import run_in_process
from bench.report import RESULTS, keep
from client.labelling import label
from common.classification.answered import ABOUT, PROBABILITIES
from common.classification.figures import figures_of
from common.classification.site_sums import site_sums
from common.data.deal import deal_cells
from common.data.reader import SiteFile
from common.data.stratified import stratified_parts
from common.errors import SyncytiumError
from report.label_page import LABELLED
from report.run_record import json_lines

TEST_SHARE = 0.2
WAYS = ("federated", "pooled", "local")
MEANS = ("accuracy", "macro_f1", "weighted_f1", "ece", "seconds", "bytes")
READING = {"report": False, "device": "cpu"}
# Masks cancel to the bit (tests/test_strategies.py): plain sums give the same, sooner.
PLAIN = {"secure-sum": "off"}
ALONE = {"min-sites": 1}
# One label of one site is what a comparison with pooled training needs, and no study would allow.
EVERY_LABEL = {"label-sites": 1}

# What all scores are made of; see :func:`common.classification.site_sums.site_sums`.
Sums = dict[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """Sites that train, each with its cells, and the cells that test them all."""

    name: str
    sites: dict[str, anndata.AnnData]
    test: anndata.AnnData


def cases(data: anndata.AnnData, experiment: dict[str, Any], seed: int) -> Iterator[Case]:
    """The cases of an experiment on one data set."""
    labels = data.obs["cell_type"].astype(str).to_numpy(dtype=object)
    batch = data.obs["batch"].astype(str).to_numpy(dtype=object)
    setting = experiment["setting"]
    if setting == "inter":
        for left_out in sorted(set(batch)):
            others = sorted(set(batch) - {left_out})
            sites = {name: data[batch == name] for name in others}
            yield Case(left_out, sites, data[batch == left_out])
        return
    numbers = experiment.get("sites", [0]) if setting == "intra" else [0]
    for n_sites in numbers:
        for alpha in experiment.get("alphas", [0]) if setting == "intra" else [0]:
            site = batch
            if setting == "intra":
                given = {"alpha": alpha} if alpha else {}
                dealt = deal_cells(labels, n_sites, seed=seed, least_cells=20, **given)
                site = np.array([f"site-{number + 1}" for number in dealt], dtype=object)
            held_out = np.zeros(len(labels), dtype=bool)
            for name in set(site):
                rows = np.flatnonzero(site == name)
                parts = stratified_parts(labels[rows], validation=0, test=TEST_SHARE, seed=seed)
                held_out[rows[parts.test]] = True
            sites = {name: data[(site == name) & ~held_out] for name in sorted(set(site))}
            text = f"{n_sites} sites{f', alpha {alpha:g}' if alpha else ''}"
            yield Case(text if setting == "intra" else "as is", sites, data[held_out])


def trained(sites: dict[str, anndata.AnnData], settings: dict[str, Any], folder: Path) -> Path:
    """A finished run over some sites; its folder."""
    data, out = folder / "data", folder / "run"
    data.mkdir(parents=True)
    for name, cells in sites.items():
        cells.copy().write_h5ad(data / f"{name}.h5ad")
    alone = ALONE if len(sites) == 1 else {}
    run_in_process(out, data, {"task": "classify", "test-share": 0.0, **PLAIN, **settings, **alone})
    return out


def scored(bundle: Path, test: Path, classes: list[str]) -> Sums:
    """The counts of a classifier on the test cells; it may not know all their labels."""
    out = bundle.parent / "labelled"
    label(bundle, test, out, settings={"max-padded": 0.5}, reading=READING)
    labelled = anndata.read_h5ad(out / LABELLED)
    known = [classes.index(name) for name in labelled.uns[ABOUT]["classes"]]
    probabilities = np.zeros((labelled.n_obs, len(classes)))
    probabilities[:, known] = labelled.obsm[PROBABILITIES]
    truth = np.array([classes.index(name) for name in labelled.obs["cell_type"]])
    return site_sums(probabilities, truth)


def constant(name: str, test: Path, classes: list[str]) -> Sums:
    """The counts of a site with one label, which it gives to every cell."""
    truth = np.array([classes.index(name) for name in SiteFile.open(test).cell_types])
    probabilities = np.zeros((len(truth), len(classes)))
    probabilities[:, classes.index(name)] = 1
    return site_sums(probabilities, truth)


def outcome(sums: Sums, seconds: float = 0.0, n_bytes: int = 0) -> dict[str, Any]:
    """What is kept of one classifier."""
    figures = figures_of(sums["confusion"], sums["calibration"])
    return {
        "accuracy": figures.accuracy,
        "macro_f1": figures.macro_f1,
        "weighted_f1": figures.weighted_f1,
        "ece": figures.expected_calibration_error,
        "recall": list(figures.recall),
        "confusion": np.rint(sums["confusion"]).astype(int).tolist(),
        "seconds": round(seconds, 2),
        "bytes": n_bytes,
    }


def compare(case: Case, settings: dict[str, Any], wanted: tuple[str, ...]) -> dict[str, Any]:
    """Federated, pooled, and the mean of the sites alone, on the same test cells."""
    classes = sorted({str(name) for site in case.sites.values() for name in site.obs["cell_type"]})
    classes = sorted({*classes, *map(str, case.test.obs["cell_type"])})
    ways = {"federated": case.sites, "pooled": {"pooled": anndata.concat(case.sites.values())}}
    ways = {way: sites for way, sites in ways.items() if way in wanted}
    if "local" in wanted:
        ways |= {f"local {name}": {name: cells} for name, cells in case.sites.items()}
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        test = Path(folder) / "test.h5ad"
        case.test.copy().write_h5ad(test)
        for way, sites in ways.items():
            start = time.perf_counter()
            labels = sorted({str(n) for cells in sites.values() for n in cells.obs["cell_type"]})
            if len(labels) == 1:
                found[way] = outcome(constant(labels[0], test, classes))
                continue
            try:
                out = trained(sites, {**EVERY_LABEL, **settings}, Path(folder) / way)
            except SyncytiumError as error:
                found[way] = {"failed": str(error)}
                continue
            seconds = time.perf_counter() - start
            sent = sum(line["bytes"] for line in json_lines(out / "ledger.jsonl"))
            found[way] = outcome(scored(out / "bundle", test, classes), seconds, sent)
    alone = [found.pop(way) for way in list(found) if way.startswith("local ")]
    if alone := [one for one in alone if "failed" not in one]:
        found["local"] = {key: statistics.fmean(one[key] for one in alone) for key in MEANS}
    return {"classes": classes, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="5 seeds, and all numbers of sites")
    parser.add_argument("--models", default="")
    parser.add_argument("--datasets", default="")
    parser.add_argument("--ways", default=",".join(WAYS))
    given = parser.parse_args()
    experiment = tomllib.loads(given.experiment.read_text())
    if given.full:
        given.seeds = 5
        experiment["sites"] = experiment.get("full-sites", [])
    models = [name for name in given.models.split(",") if name] or list(experiment["models"])
    datasets = [name for name in given.datasets.split(",") if name] or experiment["datasets"]
    name = given.experiment.stem.replace("-", "_")
    rows = kept_rows(name)
    for dataset in datasets:
        data = anndata.read_h5ad(given.data / f"{dataset}.h5ad")
        data.obs = data.obs[["batch", "cell_type"]].astype(str)
        for seed in range(given.seeds):
            for case in cases(data, experiment, seed):
                for model in models:
                    classifier = model.split(" ")[0]
                    own = experiment["models"][model]
                    settings = {"classifier": classifier, "seed": seed, **own}
                    about = {"dataset": dataset, "case": case.name, "seed": seed, "model": model}
                    found = compare(case, settings, tuple(given.ways.split(",")))
                    earlier = rows.get(tuple(about.values()), {})
                    rows[tuple(about.values())] = {**earlier, **about, **found}
                    print(*about.values(), *_short(found), flush=True)
                    # A run that is cut off keeps what is measured so far.
                    keep_rows(name, experiment, list(rows.values()), tell=False)
    keep_rows(name, experiment, list(rows.values()))


def kept_rows(name: str) -> dict[tuple, dict[str, Any]]:
    """The rows of an earlier run: classifiers are measured one after the other."""
    path = RESULTS / f"{name}.json"
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    return {tuple(row[key] for key in ("dataset", "case", "seed", "model")): row for row in rows}


def keep_rows(
    name: str, experiment: dict[str, Any], rows: list[dict[str, Any]], *, tell: bool = True
) -> None:
    """Write rows, their means and the claims; see :func:`bench.report.keep`."""
    mean = means(rows)
    keep(
        name,
        {
            "experiment": {**experiment, **PLAIN},
            "means": mean,
            "rows": rows,
            "claims": claims_of(experiment["setting"], mean),
        },
        tell=tell,
    )


def _short(found: dict[str, Any]) -> Iterator[str]:
    for way in WAYS:
        if "accuracy" in (one := found.get(way, {})):
            yield f"{way} {one['accuracy']:.3f}/{one['macro_f1']:.3f} in {one['seconds']:.0f} s"


def group_of(row: dict[str, Any]) -> str:
    """What a row is averaged in: data set and model, and the case, if dealt."""
    case = f", {row['case']}" if "sites" in row["case"] else ""
    return f"{row['dataset']}{case}, {row['model']}"


def means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Over seeds, and over the test sites of inter, by group."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(group_of(row), []).append(row)
    return {
        group: {
            way: {  # Sites alone send nothing.
                key: round(statistics.fmean(own[way].get(key, 0) for own in found), 4)
                for key in MEANS
            }
            for way in WAYS
            if (found := [own for own in members if "accuracy" in own.get(way, {})])
        }
        for group, members in groups.items()
    }


if __name__ == "__main__":
    main()
