"""The correction benchmark's results as tables in Markdown: what docs/correct.md shows.

`python -m bench.correction_tables [RESULTS.json ...] [--all] [--into docs/correct.md]`. Of several
results, as of peers and of ours measured apart, the last has the word on a method.
"""

import argparse
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.report import RESULTS

SHORT = {
    "entropy_of_batch_mixing": "EBM",
    "entropy_of_batch_mixing_shared": "EBM, shared types",
    "ilisi": "iLISI",
    "kbet": "kBET",
    "kbet_per_type": "kBET in types",
    "silhouette_batch": "ASW batch",
    "graph_connectivity": "connectivity",
    "principal_component_regression": "PCR",
    "knn_purity": "purity",
    "clisi": "cLISI",
    "silhouette_label": "ASW type",
    "nmi": "NMI 1.0",
    "nmi_best": "NMI best",
    "ari": "ARI 1.0",
    "ari_best": "ARI best",
    "isolated_label_f1": "ILF1",
    "purity": "purity",
    "purity_held_out": "purity, held-out alone",
    "mixing": "EBM",
    "own_neighbours": "own neighbours",
}
USUAL = (
    "entropy_of_batch_mixing",
    "silhouette_batch",
    "knn_purity",
    "silhouette_label",
    "nmi_best",
    "ari_best",
)
BEGIN, END = "<!-- bench/correction_tables.py -->", "<!-- end of bench/correction_tables.py -->"
TITLES = {
    "labelled": "All labels known.",
    "held_out": "20 % of the cells at each site unlabelled; only these scored, by true labels.",
}


def value(by_seed: Sequence[float | None]) -> str:
    """Mean ± sd over the seeds, or the one value of a method without a seed."""
    known = [v for v in by_seed if v is not None]
    if not known:
        return "–"
    mean = f"{statistics.mean(known):.3f}"
    return f"{mean} ± {statistics.stdev(known):.3f}" if len(known) > 1 else mean


def table(
    methods: Mapping[str, Mapping[str, Sequence[float | None]]], only: Sequence[str] = ()
) -> str:
    """A row per method, a column per score, in Markdown; ``only`` these where a method has any."""
    names = list(next(iter(methods.values())))
    order = [name for name in SHORT if name in names] + [n for n in names if n not in SHORT]
    order = [name for name in order if name in only] or order
    rows = [["", *(SHORT.get(name, name) for name in order)], ["---"] * (len(order) + 1)]
    for method, by_score in methods.items():
        rows.append([method, *(value(by_score[name]) for name in order)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def effects(measured: Mapping[str, Mapping[str, Any]]) -> str:
    """What decides which datasets have a batch effect."""
    rows = ["| data | mixing, uncorrected | batches drawn anew | share | batch effect |"]
    rows.append("|---|---|---|---|---|")
    for name, found in measured.items():
        verdict = "yes" if found["real"] else "no"
        figures = " | ".join(f"{found[k]:.3f}" for k in ("uncorrected", "relabelled", "share"))
        rows.append(f"| {name} | {figures} | {verdict} |")
    return "\n".join(rows)


def joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Several results as one: of a method that two have of the same cells, the last one's."""
    effect: dict[str, Any] = {}
    datasets: dict[str, Any] = {}
    for part in parts:
        effect |= part["batch_effect"]
        for name, dataset in part["datasets"].items():
            known = datasets.setdefault(name, {**dataset, "blocks": {}})
            known |= {key: value for key, value in dataset.items() if key != "blocks"}
            for block, methods in dataset["blocks"].items():
                known["blocks"][block] = {**known["blocks"].get(block, {}), **methods}
    return {"batch_effect": effect, "datasets": datasets}


def pages(results: Mapping[str, Any], only: Sequence[str] = ()) -> Iterator[str]:
    """Every table of the results, with its title."""
    yield effects(results["batch_effect"])
    for name, dataset in results["datasets"].items():
        for block, methods in dataset["blocks"].items():
            title = f"**{name}**, {dataset['n_cells']:,} cells, {dataset['n_batches']} batches."
            yield f"{title} {TITLES[block]}\n\n{table(methods, only)}"
        if right := dataset.get("labels_right"):
            yield f"{name}: {value(right)} of the held-out cells got their true label."


def put_into(page: str, text: str) -> str:
    """A Markdown page with ``text`` between its two marks, in place of what was there.

    Raises
    ------
    ValueError
        The page lacks a mark.
    """
    before, begins, rest = page.partition(BEGIN)
    _, ends, after = rest.partition(END)
    if not (begins and ends):
        raise ValueError(f"the page has no {BEGIN} with {END} after it: put both where tables go")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.correction_tables")
    parser.add_argument("results", nargs="*", type=Path, default=[RESULTS / "correction.json"])
    parser.add_argument("--all", action="store_true", help="all scores, not those of a paper alone")
    parser.add_argument("--into", type=Path, help="a page with the marks, instead of printing")
    asked = parser.parse_args(given)
    parts = [json.loads(path.read_text()) for path in asked.results]
    shown = pages(joined(parts), () if asked.all else USUAL)
    text = "\n\n".join(shown)
    if asked.into:
        asked.into.write_text(put_into(asked.into.read_text(), text))
    else:
        print(text)


if __name__ == "__main__":
    main()
