"""`syncytium split`: one file into one per site."""

from pathlib import Path
from typing import Annotated

import typer

from cli.console import console, shown


def split(
    data: Annotated[Path, typer.Argument(help="an .h5ad")],
    by: Annotated[str, typer.Option(help="obs column whose values become sites")],
    out: Annotated[Path, typer.Option(help="folder for the files")],
) -> None:
    """Split one file into one per site, for a simulation."""
    from common.data.split import split_file

    screen = console()
    for path in split_file(data, by, out):
        screen.print(shown(path), markup=False)
