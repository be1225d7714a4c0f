"""Print the tables of docs/synthetic-figures.md from bench/results.

`python -m bench.synthesis_tables`
"""

import json
from typing import Any

import numpy as np

from bench.report import RESULTS
from bench.synthesis import EPSILONS, GENERATORS_SHOWN, MAJORITY, RANKED_EPSILONS, REAL, RULE
from bench.synthesis_sites import MB

PAIRS = (("accuracy", "macro_f1"), ("wasserstein", "correlation_mae"))
TITLES = {"accuracy": "accuracy / macro-F1", "wasserstein": "Wasserstein / correlation MAE"}


def short(value: float) -> str:
    """Three digits."""
    return f"{value:.2f}" if value >= 1 else f"{value:.3f}"[1:]


def by_epsilon(table: dict[str, Any]) -> list[str]:
    """One data set: generators by epsilon."""
    lines = ["| | " + " | ".join("no noise" if np.isinf(e) else f"{e:g}" for e in EPSILONS) + " |"]
    lines.append("|---" * (1 + len(EPSILONS)) + "|")
    for pair in PAIRS:
        for name in GENERATORS_SHOWN:
            rows = [table.get(f"{name} {e:g}") for e in EPSILONS]
            if not any(rows):
                continue
            cells = [" / ".join(short(r[f]["mean"]) for f in pair) if r else "" for r in rows]
            lines.append(f"| {name}: {TITLES[pair[0]]} | " + " | ".join(cells) + " |")
    real, commonest = table[REAL], table.get(MAJORITY, {})
    said = " / ".join(short(real[f]["mean"]) for f in PAIRS[0])
    lines.append(f"\nReal records: {said}.")
    if commonest:
        lines[-1] += f" The commonest class: accuracy {short(commonest['accuracy']['mean'])}."
    return lines


def sites(found: dict[str, Any]) -> list[str]:
    """Sites beside a centre."""
    lines = [
        "| generator | sites | runs | centre | sites | s | MB up | MB down |",
        "|---" * 8 + "|",
    ]
    of = {RULE: found.get("sites", {}), **found.get("skewed", {})}
    of["copula, cells, epsilon 10"] = found.get("cells", {})
    for name, parts in of.items():
        for title, part in parts.items():
            if isinstance(part, dict) and "runs" in part:
                pair = [
                    " / ".join(short(np.mean([r[f] for r in runs])) for f in PAIRS[0])
                    for runs in (parts["centre"], part["runs"])
                ]
                runs = part["runs"]
                seconds = np.median([run["seconds"] for run in runs])
                sent, got = (max(run[key] for run in runs) / MB for key in ("sent", "received"))
                lines.append(
                    f"| {name} | {title} | {len(runs)} | {pair[0]} | {pair[1]} | {seconds:.0f} | "
                    f"{sent:.2f} | {got:.2f} |"
                )
    for epsilon, run in found.get("flower", {}).items():
        pair = " / ".join(short(run[f]) for f in PAIRS[0])
        lines.append(
            f"| {RULE}, epsilon {epsilon} | as they are, Flower | 1 | | {pair} | "
            f"{run['seconds']:.0f} | {run['sent'] / MB:.2f} | {run['received'] / MB:.2f} |"
        )
    return lines


def cohorts(found: dict[str, Any]) -> list[str]:
    """A cohort left out: accuracy, and the means over cohorts."""
    names = [key for key in next(iter(found.values())) if key != "n"]
    titles = [f"{cohort} ({about['n']})" for cohort, about in found.items()]
    lines = ["| | " + " | ".join(titles) + " | mean | macro-F1 |"]
    lines.append("|---" * (3 + len(titles)) + "|")
    for name in names:
        values = [about[name]["accuracy"] for about in found.values()]
        f1 = [about[name].get("macro_f1", np.nan) for about in found.values()]
        mean = "" if np.isnan(f1).any() else short(np.mean(f1))
        cells = " | ".join(short(value) for value in [*values, np.mean(values)])
        lines.append(f"| {name} | {cells} | {mean} |")
    return lines


def ranked(table: dict[str, Any]) -> list[str]:
    """Class genes by a public ranking: accuracy +- standard deviation over runs, and macro-F1."""
    names = list(dict.fromkeys(key.rpartition(" ")[0] for key in table))
    lines = ["| | " + " | ".join(f"{e:g}" for e in RANKED_EPSILONS) + " |"]
    lines.append("|---" * (1 + len(RANKED_EPSILONS)) + "|")
    for name in names:
        rows = [table[f"{name} {e:g}"] for e in RANKED_EPSILONS]
        cells = [
            f"{short(r['accuracy']['mean'])} +- {short(r['accuracy']['sd'])} / "
            f"{short(r['macro_f1']['mean'])}"
            for r in rows
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    for dataset, table in json.loads((RESULTS / "synthesis.json").read_text())["tables"].items():
        print(f"\n{dataset}\n", *by_epsilon(table), sep="\n")
    path = RESULTS / "synthesis_ranking.json"
    for dataset, found in json.loads(path.read_text())["tables"].items():
        print(f"\nPublic ranking, {dataset}\n", *ranked(found["rows"]), sep="\n")
    path = RESULTS / "synthesis_sites.json"
    found = json.loads(path.read_text())["found"]
    print("\nSites\n", *sites(found), sep="\n")
    if "cohorts" in found:
        print("\nCohorts\n", *cohorts(found["cohorts"]), sep="\n")


if __name__ == "__main__":
    main()
