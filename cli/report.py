"""`syncytium report`: one page of a run, or of a site's own part in it."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli.console import console, shown


def report(
    run_dir: Annotated[
        Path, typer.Argument(help="a run folder, or at a site its output-dir with a result")
    ],
) -> None:
    """Make report.html again: verdict, pictures, training, and what left each site."""
    show_report(run_dir, console())


def report_of_run(folder: Path, screen: Console, *, draw: bool) -> None:
    """The page at the end of a run; that it cannot be made is said and fails nothing.

    ``draw``: with the cells, which are here. Without, it takes no second; the folder may be on
    another machine.
    """
    from report.run_page import write_run_page

    try:
        if draw:
            show_report(folder, screen)
            return
        if not (folder / "run.json").exists():
            return
        path = write_run_page(folder, pictures=False)
        screen.print(f"report: {shown(path)}", markup=False)
    except Exception as error:
        text = f"there is no report: {type(error).__name__}: {error}"
        screen.print(text, style="yellow", markup=False)


def show_report(folder: Path, screen: Console) -> None:
    """Write ``report.html`` and say where it is and what it took."""
    from report.comparison_page import is_comparison, write_comparison_page
    from report.label_page import is_labelled, write_label_page
    from report.run_page import write_run_page
    from report.site_page import is_site, write_site_page

    start = time.monotonic()

    def write() -> Path:
        if is_site(folder):
            return write_site_page(folder)
        if is_labelled(folder):
            return write_label_page(folder)
        if is_comparison(folder):
            return write_comparison_page(folder)
        return write_run_page(folder, pictures=True)

    if screen.is_terminal:
        with screen.status("drawing the cells before and after"):
            path = write()
    else:
        path = write()
    screen.print(f"report: {shown(path)} ({time.monotonic() - start:.0f} s)", markup=False)
