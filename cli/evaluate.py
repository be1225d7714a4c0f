"""`syncytium evaluate`: how well a run mixed the batches and kept the cell types."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli.console import console, shown


def evaluate(
    run_dir: Annotated[
        Path,
        typer.Argument(help="a simulated run's folder, or one with the sites' corrected files"),
    ],
    max_cells: Annotated[
        int, typer.Option(min=10, help="score a random subsample above it")
    ] = 20_000,
) -> None:
    """Score a run before and after correction: a table, and evaluation.json in the folder.

    Corrected files of real sites are gathered as NAME.h5ad or NAME/corrected.h5ad.
    """
    show_evaluation(run_dir, console(), max_cells)


def show_evaluation(run_dir: Path, screen: Console, max_cells: int = 20_000) -> None:
    """Score, write ``evaluation.json`` and print the table."""
    from report.evaluation_table import evaluation_table
    from report.run_evaluation import evaluate_run

    if screen.is_terminal:
        with screen.status("scoring before and after"):
            result = evaluate_run(run_dir, max_cells=max_cells)
    else:
        result = evaluate_run(run_dir, max_cells=max_cells)
    screen.print(evaluation_table(result))
    screen.print(f"scores: {shown(run_dir / 'evaluation.json')}", markup=False)
