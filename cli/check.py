"""`syncytium check`: is this file ready for a run?"""

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from cli.console import console
from cli.reading import reads_a_file
from common.node_config import NodeConfig
from common.settings import READING

_MARKS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "error": ("error", "bold red")}


@reads_a_file
def check(
    site: Annotated[Path, typer.Argument(help="the site's .h5ad")],
    reading: dict[str, Any],
    carbon_file: Annotated[
        str, typer.Option(help=NodeConfig.model_fields["carbon_file"].description)
    ] = "",
) -> None:
    """Look a file over: cells, batches, types, counts or log, genes; and say what to fix."""
    from common.carbon_check import check_carbon_file
    from common.data.check import check_file

    node = NodeConfig.parse({"data-path": str(site), **reading}, where="check")
    report = check_file(site, **{name: getattr(node, name) for name in READING})
    hours = [check_carbon_file(carbon_file, time.time())] if carbon_file else []
    screen = console()
    for finding in (*report.findings, *hours):
        mark, style = _MARKS[finding.level]
        screen.print(Text(f"{mark:>8}  ", style=style) + Text(finding.text, style="default"))
        if finding.fix:
            screen.print(Text(f"          fix: {finding.fix}", style="dim"))
    ready = report.ok and all(finding.level == "ok" for finding in hours)
    screen.print(f"{site}: {'ready' if ready else 'not ready'}", markup=False)
    raise typer.Exit(0 if ready else 1)
