"""The evaluation as a table for a terminal of 80 columns."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from report.label_note import label_note

_HEADINGS = {
    "mixing": "Are the batches mixed?",
    "types": "Are the cell types kept?",
    "other": "Other",
}
_UNDEFINED = "–"
# A change that three decimals show as little more than rounding is not coloured.
_SMALL = 0.005


def evaluation_table(result: Mapping[str, Any]) -> Table:
    """Overall scores: a row per metric, a column per matrix, each output with its change.

    Parameters
    ----------
    result
        What ``evaluate_embeddings`` returns, or the same read back from JSON.
    """
    columns = list(result["overall"])
    table = Table(
        title="Before and after correction",
        title_style="bold",
        caption="\n".join(_footnotes(result)),
        caption_justify="left",
        caption_style="",
        box=box.SIMPLE_HEAD,
        padding=0,
    )
    table.add_column("score", overflow="fold")
    for column in columns:
        width = len(column) if column == columns[0] else len(" -0.000 +0.000")
        table.add_column(column, justify="right", overflow="fold", min_width=width)
    for group, heading in _HEADINGS.items():
        names = [name for name, metric in result["metrics"].items() if metric["group"] == group]
        if names:
            table.add_row(Text(heading, style="bold"))
        for name in names:
            metric = result["metrics"][name]
            values = [result["overall"][column][name]["value"] for column in columns]
            arrow = "↑" if metric["better"] == "higher" else "↓"
            table.add_row(
                f"{metric['title']} {arrow}",
                _number(values[0]),
                *(_with_change(value, values[0], metric["better"]) for value in values[1:]),
                end_section=name == names[-1],
            )
    return table


def _number(value: float | None) -> Text:
    return Text(_UNDEFINED, style="dim") if value is None else Text(f"{value:.3f}")


def _with_change(value: float | None, before: float | None, better: str) -> Text:
    text = _number(value)
    if value is None or before is None:
        return text
    change = value - before
    gain = change if better == "higher" else -change
    style = "dim" if abs(change) < _SMALL else "green" if gain > 0 else "red"
    return text + Text(f" {change:+.3f}", style=style)


def _other_neighbours(settings: Mapping[str, Any]) -> str:
    own = {name: of.get("k") for name, of in settings["metrics"].items()}
    said = ", ".join(f"{k} in {name}" for name, k in own.items() if isinstance(k, int))
    return f" ({said})" if said else ""


def _footnotes(result: Mapping[str, Any]) -> list[str]:
    settings = result["settings"]
    resolutions = settings["resolutions"]
    n_pcs = settings["n_pcs"]
    if min(settings["n_pcs_found"].values()) < n_pcs:
        n_pcs = f"up to {n_pcs}"
    used = {metric["better"] for metric in result["metrics"].values()}
    arrows = {"higher": "↑ higher is better", "lower": "↓ lower is better"}
    lines = [
        f"Scores run from 0 to 1; {', '.join(arrows[b] for b in sorted(used))}. Beside each output "
        f"its change from {next(iter(result['overall']))} (green: better, red: worse).",
        f"Scored on {result['n_cells_scored']:,} cells, {result['n_batches']} batches, "
        f"{result['n_types']} cell types; {n_pcs} principal components of each "
        f"matrix, {settings['k']} nearest neighbours{_other_neighbours(settings)}.",
    ]
    if result["subsample"]:
        lines.append(
            f"A random subsample of the {result['n_cells']:,} cells (seed "
            f"{result['subsample']['seed']})."
        )
    if result["n_cells_without_type"]:
        lines.append(
            f"{result['n_cells_without_type']:,} cells without a type are left out where types "
            "count."
        )
    lines.append(
        f"Clusters: Leiden at resolution {settings['default_resolution']}; best: the highest of "
        f"{len(resolutions)} resolutions ({resolutions[0]} to {resolutions[-1]}), picked by the "
        "cell types, so an upper bound."
    )
    reasons = {
        score["reason"]
        for scores in result["overall"].values()
        for score in scores.values()
        if score["reason"]
    }
    lines += [f"{_UNDEFINED} no value: {reason}." for reason in sorted(reasons)]
    return [*lines, *filter(None, [result["note"], label_note(result)])]
