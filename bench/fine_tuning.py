"""A new site that trains on from a bundle, against the same site from scratch, to equal quality.

Each study of a data set in turn is the new site, and the others make the bundle. Either both ways
are the whole recipe that a user runs by default (``recipes``; or ``frugal``: from scratch with
``patience = 10``, so that it does not go on in vain), and quality and energy of the kept models are
compared. Or both have a target:
the macro-F1, on the site's validation cells, of a run from scratch by the classifier's own recipe,
the ``best`` of any round, which is the luckiest of a hundred on some hundreds of cells, or that of
the model that it keeps in the end (``kept``). Both then stop at the first model that has it
(``target-f1``), on the same cells. Fine-tuning is as `syncytium fine-tune` does it. If it never has
it, all its rounds are counted, and that is said.

Energy is that of the whole process once: a run in one process is metered by its coordinator, sites
and all, and the sites' own figures, of the same CPU seconds, are left out. CPU and GPU alone are
compared; the memory's constant power, which all processes of a machine share, stands beside them,
and so does the part of the training phases. A first run of each classifier is discarded, and the
two ways alternate at random.

`python -m bench.fine_tuning DATA_DIR [--seeds N] [--models A,B] [--held-out A,B]
[--target recipes|frugal|best|kept]`. What an earlier run measured stays beside it.
"""

import argparse
import json
import random
import statistics
import tempfile
from pathlib import Path
from typing import Any

import anndata

from bench.in_process import run_in_process
from bench.report import RESULTS, keep
from cli.fine_tune import ALONE, fine_tuning_settings
from common.comparison.statistics import interval
from report.run_record import json_lines

DATASET, NAME = "pbmc_5study", "fine_tuning"
MODELS = ("logistic", "actinn", "scdlc", "sccdcg", "scsmd")
# Of rare types a tenth of a study would be none or one.
COMMON = {"validation-share": 0.2, "label-sites": 1, "device": "cpu"}
PLAIN = {"task": "classify", "secure-sum": "off", "test-share": 0.0}
TRAINING = ("classifier_fit", "linear_gradient")
MOST = 0.35
WAYS = ("scratch", "tuned")
RECIPES, FRUGAL = "recipes", "frugal"
PATIENCE = 10
# What tells a case from others.
ABOUT = ("kind", "model", "held_out", "seed")


def folder_of(data: anndata.AnnData, names: list[str], folder: Path) -> Path:
    """A new folder with a file for each study."""
    folder.mkdir(parents=True)
    for name in names:
        data[(data.obs["batch"] == name).to_numpy()].copy().write_h5ad(folder / f"{name}.h5ad")
    return folder


def measured(out: Path, data: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """A run: how good, when, and what it took, Wh."""
    run = run_in_process(out, data, {**COMMON, **settings})
    used = run["energy"]["coordinator"]
    parts = [used["by_phase"].get(phase, {}) for phase in TRAINING]
    return {
        "validation": run["validation"]["macro_f1"],
        "test": run.get("test", {}).get("macro_f1"),
        "reached": run.get("target_reached"),
        "rounds": len(json_lines(out / "metrics.jsonl")),
        "wh": 1e3 * (used["cpu_kwh"] + used["gpu_kwh"]),
        "memory_wh": 1e3 * used["ram_kwh"],
        "training_wh": 1e3 * sum(p.get("cpu_kwh", 0) + p.get("gpu_kwh", 0) for p in parts),
        "source": used["source"],
    }


def target_of(kind: str, out: Path, data: Path, settings: dict[str, Any]) -> float:
    """Macro-F1 on validation cells by the whole recipe: the best of any model, or the kept one."""
    if kind == "kept":
        return run_in_process(out, data, {**COMMON, **settings})["validation"]["macro_f1"]
    run = run_in_process(out, data, {**COMMON, **settings, "target-f1": 1.0})
    seen = [line.get("validation_macro_f1_before") for line in json_lines(out / "metrics.jsonl")]
    return max([value for value in seen if value is not None] + [run["validation"]["macro_f1"]])


def compare(
    data: anndata.AnnData, kind: str, model: str, held_out: str, seed: int
) -> dict[str, Any]:
    """One new site, both ways."""
    others = sorted(set(data.obs["batch"]) - {held_out})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sites = folder_of(data, others, folder / "others")
        own = folder_of(data, [held_out], folder / "own")
        joint = {**PLAIN, "classifier": model, "seed": seed}
        bundle = measured(folder / "joint", sites, joint)
        scratch = {**ALONE, "classifier": model, "seed": seed}
        if kind in (RECIPES, FRUGAL):
            scratch |= {"patience": PATIENCE} if kind == FRUGAL else {}
            target = 0.0
        else:
            target = target_of(kind, folder / "whole", own, scratch)
        tuned = {**fine_tuning_settings(folder / "joint/bundle", target), "seed": seed}
        ways = {"scratch": scratch, "tuned": tuned}
        order = list(WAYS)
        random.Random(f"{model} {held_out} {seed}").shuffle(order)
        found = {
            way: measured(folder / way, own, ways[way] | ({"target-f1": target} if target else {}))
            for way in order
        }
    return {"target": target, "bundle": bundle, **found}


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """By classifier: in how many cases the target is reached, and at which share of the energy."""
    means = {}
    for group in dict.fromkeys((row["model"], row["kind"]) for row in rows):
        own = [row for row in rows if (row["model"], row["kind"]) == group]
        means[", ".join(group)] = {
            "cases": len(own),
            "reached": sum(row["tuned"]["reached"] is not None for row in own),
            **{
                share: share_of([row["tuned"][key] / row["scratch"][key] for row in own])
                for share, key in (("energy", "wh"), ("training", "training_wh"))
            },
            "together": sum(r["tuned"]["wh"] for r in own) / sum(r["scratch"]["wh"] for r in own),
            "validation": {w: statistics.fmean(r[w]["validation"] for r in own) for w in WAYS},
            "test": {w: statistics.fmean(r[w]["test"] for r in own) for w in WAYS},
            "gained": share_of(
                [r["tuned"]["validation"] - r["scratch"]["validation"] for r in own]
            ),
            "target": statistics.fmean(row["target"] for row in own),
            "wh": {
                way: statistics.fmean(row[way]["wh"] for row in own) for way in (*WAYS, "bundle")
            },
        }
    return means


def share_of(values: list[float]) -> tuple[float, ...]:
    """Mean, and the ends of its 95 % interval over cases where there are several."""
    if len(values) < 2:
        return (statistics.fmean(values),) * 3
    found = interval(values)
    return found.mean, found.low, found.high


def keep_rows(rows: list[dict[str, Any]], *, tell: bool = True) -> None:
    """Write rows, means and claims."""
    means = summary(rows)
    claims = {}
    for group, own in means.items():
        at_most = f"{group}: {own['together']:.0%} of the energy of all cases (at most {MOST:.0%})"
        if group.endswith((RECIPES, FRUGAL)):
            gained, low, high = own["gained"]
            claims[
                f"{at_most}, validation macro-F1 not surely below that from scratch: {gained:+.3f} "
                f"({low:+.3f} to {high:+.3f})"
            ] = own["together"] <= MOST and high >= 0
        else:
            claims[f"{at_most}, target reached in {own['reached']} of {own['cases']}"] = (
                own["together"] <= MOST and own["reached"] == own["cases"]
            )
    keep(NAME, {"dataset": DATASET, "means": means, "rows": rows, "claims": claims}, tell=tell)


def table(rows: list[dict[str, Any]]) -> str:
    """The means, in Markdown."""
    lines = [
        "| classifier, target | reached | energy, tuned / scratch | of all cases together | "
        "training alone | validation "
        "macro-F1: scratch, tuned | test: scratch, tuned | Wh: scratch, tuned, bundle |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for model, own in summary(rows).items():
        energy, training = (
            "{:.2f} ({:.2f} to {:.2f})".format(*own[key]) for key in ("energy", "training")
        )
        quality = (
            f"{own[k]['scratch']:.3f}, {own[k]['tuned']:.3f}" for k in ("validation", "test")
        )
        together = f"{own['together']:.2f}"
        wh = ", ".join(f"{own['wh'][way]:.4f}" for way in (*WAYS, "bundle"))
        reached = "no target" if not own["target"] else f"{own['reached']} of {own['cases']}"
        cells = (reached, energy, together, training, *quality, wh)
        lines.append(f"| {model} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--held-out", default="")
    parser.add_argument("--target", choices=(RECIPES, FRUGAL, "best", "kept"), default=RECIPES)
    given = parser.parse_args()
    data = anndata.read_h5ad(given.data / f"{DATASET}.h5ad")
    data.obs = data.obs[["batch", "cell_type"]].astype(str)
    studies = [name for name in given.held_out.split(",") if name]
    studies = studies or sorted(set(data.obs["batch"]))
    path = RESULTS / f"{NAME}.json"
    kept = json.loads(path.read_text())["rows"] if path.exists() else []
    rows = {tuple(row[key] for key in ABOUT): row for row in kept}
    for model in given.models.split(","):
        # Imports and what is compiled at first use are nobody's.
        compare(data, given.target, model, studies[0], 0)
        for held_out in studies:
            for seed in range(1, given.seeds + 1):
                case = (given.target, model, held_out, seed)
                row = dict(zip(ABOUT, case, strict=True)) | compare(data, *case)
                rows[case] = row
                scratch, tuned = row["scratch"], row["tuned"]
                print(
                    *case,
                    f"target {row['target']:.3f}, tuned {tuned['validation']:.3f}",
                    f"energy {tuned['wh'] / scratch['wh']:.2f}",
                    f"training {tuned['training_wh'] / scratch['training_wh']:.2f}",
                    f"rounds {tuned['rounds']} and {scratch['rounds']}",
                    "no target"
                    if not row["target"]
                    else "reached"
                    if tuned["reached"] is not None
                    else "NOT REACHED",
                    flush=True,
                )
                keep_rows(list(rows.values()), tell=False)
    keep_rows(list(rows.values()))
    print(table(list(rows.values())))


if __name__ == "__main__":
    main()
