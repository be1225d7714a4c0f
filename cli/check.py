"""`syncytium check`: is this file ready for a run?"""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from cli.console import console
from common.config import READING, NodeConfig, RunConfig

_DEFAULTS = RunConfig()
_MARKS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "error": ("error", "bold red")}


def check(
    site: Annotated[Path, typer.Argument(help="the site's .h5ad")],
    batch_key: Annotated[str, typer.Option(help="obs column; '' = one batch")] = (
        _DEFAULTS.batch_key
    ),
    cell_type_key: Annotated[str, typer.Option(help="obs column")] = _DEFAULTS.cell_type_key,
    layer: Annotated[str, typer.Option(help="auto, X, raw or a layer's name")] = _DEFAULTS.layer,
    gene_column: Annotated[str, typer.Option(help="var column; '' = var_names")] = (
        _DEFAULTS.gene_column
    ),
    label_origin: Annotated[str, typer.Option(help="of the cell types: curated or predicted")] = (
        _DEFAULTS.label_origin
    ),
    label_origin_key: Annotated[str, typer.Option(help="obs column with these words by cell")] = (
        _DEFAULTS.label_origin_key
    ),
    confidence_key: Annotated[str, typer.Option(help="obs column; of predicted cell types")] = (
        _DEFAULTS.confidence_key
    ),
    min_confidence: Annotated[float, typer.Option(help="one below it does not steer")] = (
        _DEFAULTS.min_confidence
    ),
) -> None:
    """Look a file over: cells, batches, types, counts or log, genes; and say what to fix."""
    from common.data.check import check_file

    given = {
        "batch-key": batch_key,
        "cell-type-key": cell_type_key,
        "layer": layer,
        "gene-column": gene_column,
        "label-origin": label_origin,
        "label-origin-key": label_origin_key,
        "confidence-key": confidence_key,
        "min-confidence": min_confidence,
    }
    node = NodeConfig.parse({"data-path": str(site), **given}, where="check")
    report = check_file(site, **{name: getattr(node, name) for name in READING})
    screen = console()
    for finding in report.findings:
        mark, style = _MARKS[finding.level]
        screen.print(Text(f"{mark:>8}  ", style=style) + Text(finding.text, style="default"))
        if finding.fix:
            screen.print(Text(f"          fix: {finding.fix}", style="dim"))
    screen.print(f"{site}: {'ready' if report.ok else 'not ready'}", markup=False)
    raise typer.Exit(0 if report.ok else 1)
