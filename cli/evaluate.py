"""`syncytium evaluate`: how well a run mixed the batches, or how good its synthetic cohort is."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli.console import console, shown
from common.errors import ConfigError, InputError


def evaluate(
    run_dir: Annotated[
        Path,
        typer.Argument(
            help="a simulated run's folder, one with the sites' corrected files, or one of a run "
            "of synthesize"
        ),
    ],
    max_cells: Annotated[
        int, typer.Option(min=10, help="score a random subsample above it")
    ] = 20_000,
    real: Annotated[
        str,
        typer.Option(
            help="synthesize: .h5ad with real records that the run saw, several by commas; "
            "the sites' files of a simulation if left out"
        ),
    ] = "",
    held_out: Annotated[
        str,
        typer.Option(
            help="synthesize: .h5ad with real records that the run did not see, for the figures "
            "of real records and the privacy audit"
        ),
    ] = "",
    covariate_keys: Annotated[
        str,
        typer.Option(
            help="synthesize: obs columns that make classes of a label in these files, as "
            "'sex,stage'; those of a simulated run if left out"
        ),
    ] = "",
    donor_key: Annotated[
        str,
        typer.Option(
            help="synthesize: obs column with each record's donor, where the run protects donors; "
            "that of a simulated run if left out"
        ),
    ] = "",
) -> None:
    """Score a run: a table, and evaluation.json in the folder.

    Of a correction the cells before and after it: corrected files of real sites are gathered as
    NAME.h5ad or NAME/corrected.h5ad. Of a synthetic cohort its use and its privacy, beside real
    records that stay here: what is written tells of them.
    """
    from report.synthesis_evaluation import is_synthesis

    if is_synthesis(run_dir):
        files, others = _paths(real, "--real"), _paths(held_out, "--held-out")
        columns = {"covariate-keys": covariate_keys, "donor-key": donor_key}
        show_synthesis(run_dir, console(), files, others, max_cells, columns)
        return
    if real or held_out or covariate_keys or donor_key:
        raise ConfigError(
            "--real, --held-out, --covariate-keys and --donor-key are for runs of synthesize, and "
            f"{run_dir} is none: leave them out"
        )
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


def show_synthesis(
    run_dir: Path,
    screen: Console,
    real: Sequence[Path],
    held_out: Sequence[Path],
    max_records: int = 20_000,
    columns: Mapping[str, str] | None = None,
) -> None:
    """The same of a synthetic cohort."""
    from report.synthesis_evaluation import evaluate_synthesis
    from report.synthesis_table import synthesis_table

    given = {"max_records": max_records, "columns": columns}
    if screen.is_terminal:
        with screen.status("scoring and attacking the synthetic cohort"):
            result = evaluate_synthesis(run_dir, real, held_out, **given)
    else:
        result = evaluate_synthesis(run_dir, real, held_out, **given)
    screen.print(synthesis_table(result))
    screen.print(f"scores: {shown(run_dir / 'evaluation.json')}", markup=False)
    screen.print(f"a page of them, with pictures: syncytium report {shown(run_dir)}", markup=False)


def _paths(text: str, option: str) -> list[Path]:
    paths = [Path(part.strip()).expanduser() for part in text.split(",") if part.strip()]
    if lacking := [path for path in paths if not path.is_file()]:
        raise InputError(f"{option} {lacking[0]}: no such file; give .h5ad files, apart by commas")
    return paths
