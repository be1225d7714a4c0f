"""What `python -m bench.classification` kept, in Markdown: the figures of docs/classify.md.

`python -m bench.classification_tables`: one table for each experiment that has results.
"""

import json
from typing import Any

from bench.classification import WAYS, group_of, means
from bench.report import RESULTS

EXPERIMENTS = ("as_is", "inter", "intra", "strategies")
HEADINGS = ("over the sites", "on pooled cells", "a site alone")


def table(result: dict[str, Any]) -> list[str]:
    """Rows of accuracy / macro-F1 by what was trained on what, and how many seeds that is."""
    seeds: dict[str, set[int]] = {}
    for row in result["rows"]:
        seeds.setdefault(group_of(row), set()).add(row["seed"])
    lines = [f"| | seeds | {' | '.join(HEADINGS)} | a run |", "|---" * 6 + "|"]
    for group, ways in sorted(means(result["rows"]).items()):
        if "federated" not in ways:
            continue
        cells = [_scores(ways.get(way)) for way in WAYS]
        cost = f"{ways['federated']['seconds']:.0f} s, {ways['federated']['bytes'] / 1e6:.0f} MB"
        lines.append(f"| {group} | {len(seeds[group])} | {' | '.join(cells)} | {cost} |")
    return lines


def _scores(figures: dict[str, float] | None) -> str:
    if figures is None:
        return ""
    return f"{figures['accuracy']:.3f} / {figures['macro_f1']:.3f}".replace("0.", ".")


def main() -> None:
    for experiment in EXPERIMENTS:
        path = RESULTS / f"classify_{experiment}.json"
        if path.exists():
            print(f"\n{experiment}\n", *table(json.loads(path.read_text())), sep="\n")


if __name__ == "__main__":
    main()
