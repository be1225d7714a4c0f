"""The methods of scFL-Green on its four frameworks: quality, energy and emissions of each.

`syncytium compare`'s own code, once for each framework and data set: a run to warm up that does not
count, methods in random order within every repeat, equal work, seeds shared within a repeat, and
95 % intervals over the repeats. Sites are the batches of a set as they are. Runs are made in this
process, whose energy is metered whole: the sites' part is within the coordinator's and is taken out
of it here.

`python -m bench.energy_methods DATA_DIR [--datasets A,B] [--classifiers A,B] [--repeats N]`. What
an earlier run measured stays beside it.
"""

import argparse
import json
import logging
import tempfile
from pathlib import Path
from typing import Any

from bench.in_process import run_in_process
from bench.report import RESULTS, keep
from cli.compared_runs import ComparedRuns
from common.comparison.methods import methods_of
from common.comparison.plan import comparison_plan
from common.data.split import split_file
from common.settings import kebab

DATASETS = (
    "cellline_mixology_5batch",
    "pancreas_human_3study_mini",
    "brain_oligo_6region",
    "pbmc_5study",
)
CLASSIFIERS = ("scdlc", "sccdcg", "scsmd", "actinn")
METHODS = "baseline,small-batch,mixed-precision,{reduced}"
# Each one's reduced form of scFL-Green.
REDUCED = {"scdlc": "reduced-form:classifier-form=simplified-reduced"}
REPEATS = 5
# As scFL-Green trains: models of the sites, averaged, in mini-batches of 32 (ACTINN 128) by Adam;
# over more rounds, each of them one epoch, and at one rate for all four, which is high enough for
# ACTINN to learn in so few steps.
SETTINGS = {
    "task": "classify",
    "strategy": "fedavg",
    "rounds": 20,
    "local-epochs": 1,
    "learning-rate": 1e-3,
    "batch-size": 32,
    "label-sites": 1,
    "secure-sum": "off",
    "device": "cpu",
}
OWN: dict[str, dict[str, Any]] = {
    "actinn": {"batch-size": 128},
    # What scFL-Green ran under this name, without a recurrent layer.
    "scdlc": {"classifier-form": "simplified"},
}
FIGURES = ("accuracy", "macro_f1", "weighted_f1", "kwh", "kg", "cpu_kwh", "ram_kwh", "eaps")


def run_once(values: dict[str, Any], out: Path) -> dict[str, Any]:
    """A run in this process, each joule of it counted once."""
    settings = {key: value for key, value in values.items() if key not in ("data", "out")}
    result = run_in_process(out, Path(values["data"]), settings)
    own, sites = (result["energy"][who] for who in ("coordinator", "sites"))
    for key in ("cpu_kwh", "gpu_kwh", "kwh", "kg"):
        own[key] -= sites[key]
    return result


def compared(sites: Path, out: Path, classifier: str, repeats: int) -> dict[str, Any]:
    """The comparison of a framework's methods on the files of a folder."""
    base = {**SETTINGS, **OWN.get(classifier, {}), "classifier": classifier, "data": str(sites)}
    plan = comparison_plan(
        base,
        methods_of(METHODS.format(reduced=REDUCED.get(classifier, "reduced"))),
        repeats=repeats,
        where="bench",
    )
    record = ComparedRuns(plan, out, run_once).make()
    found = record["results"]
    return {
        "floor": found["floor"],
        "first_run": found["first_run"],
        "sources": found["sources"],
        "methods": {
            name: {
                "verdict": method["verdict"],
                "figures": {
                    key: value for key, value in method["figures"].items() if key in FIGURES
                },
                "differences": method["differences"],
            }
            for name, method in found["methods"].items()
        },
    }


def claims(results: dict[str, dict[str, Any]]) -> dict[str, bool]:
    """What must be there."""
    firsts = [one["first_run"] for own in results.values() for one in own.values()]
    return {
        f"{len(results)} data sets x 4 frameworks x 4 methods": len(results) >= 3
        and all(set(own) == set(CLASSIFIERS) for own in results.values()),
        f"the discarded first runs are told ({len(firsts)})": all(firsts),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--datasets", default=",".join(DATASETS))
    parser.add_argument("--classifiers", default=",".join(CLASSIFIERS))
    parser.add_argument("--repeats", type=int, default=REPEATS)
    given = parser.parse_args()
    logging.getLogger("syncytium").setLevel(logging.WARNING)
    path = RESULTS / "energy_methods.json"
    results = json.loads(path.read_text())["results"] if path.exists() else {}
    for dataset in given.datasets.split(","):
        with tempfile.TemporaryDirectory() as folder:
            sites = Path(folder) / "sites"
            split_file(given.data_dir / f"{dataset}.h5ad", "batch", sites)
            for classifier in given.classifiers.split(","):
                out = Path(folder) / kebab(classifier)
                one = compared(sites, out, classifier, given.repeats)
                results.setdefault(dataset, {})[classifier] = {"repeats": given.repeats, **one}
                keep(
                    "energy_methods",
                    {"settings": SETTINGS, "own": OWN, "results": results},
                    tell=False,
                )
                for name, method in one["methods"].items():
                    f1, kwh = (method["figures"][key]["mean"] for key in ("macro_f1", "kwh"))
                    print(
                        f"{dataset} {classifier} {name}: macro-F1 {f1:.3f}, {1000 * kwh:.3g} Wh, "
                        f"{method['verdict']}",
                        flush=True,
                    )
    figures = {"settings": SETTINGS, "own": OWN, "results": results}
    keep("energy_methods", {**figures, "claims": claims(results)})


if __name__ == "__main__":
    main()
