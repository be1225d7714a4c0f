"""`syncytium check`: is this file ready for a run?"""

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from cli.console import console
from cli.reading import reads
from common.config import RunConfig
from common.errors import ConfigError
from common.node_config import NodeConfig
from common.registry import did_you_mean
from common.settings import READING, UNITS

_MARKS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "error": ("error", "bold red")}
TASKS = ("correct", "classify", "synthesize")
_DEFAULTS = RunConfig()


@reads(*READING, *UNITS)
def check(
    site: Annotated[Path, typer.Argument(help="the site's .h5ad")],
    reading: dict[str, Any],
    task: Annotated[
        str, typer.Option(help="what it is for: correct, classify or synthesize")
    ] = "correct",
    expression: Annotated[
        str, typer.Option(help="synthesize: log, values as they are, or counts")
    ] = _DEFAULTS.expression,
    value_low: Annotated[
        float, typer.Option(help="synthesize: the run's public lower bound")
    ] = _DEFAULTS.value_low,
    value_high: Annotated[
        float, typer.Option(help="synthesize: the run's public upper bound")
    ] = _DEFAULTS.value_high,
    classes: Annotated[
        str, typer.Option(help="synthesize: the run's public list of labels, if it has one")
    ] = "",
    carbon_file: Annotated[
        str, typer.Option(help=NodeConfig.model_fields["carbon_file"].description)
    ] = "",
) -> None:
    """Look a file over: cells, batches, types, counts or log, genes; and say what to fix."""
    from common.carbon_check import check_carbon_file
    from common.data.check import check_file

    if task not in TASKS:
        raise ConfigError(f"--task {task!r}: {did_you_mean(task, TASKS)}")
    node = NodeConfig.parse({"data-path": str(site), **reading}, where="check")
    settings = {name: getattr(node, name) for name in READING}
    asked = {
        "expression": expression, "value-low": value_low, "value-high": value_high,
        "classes": classes,
    }  # fmt: skip
    if task == "synthesize":
        from common.data.check_records import check_records

        # What it will cost is not asked here.
        run = RunConfig.parse({**asked, "task": task, "noise": "off"}, where="check")
        report = check_records(
            site,
            counted=run.expression == "counts",
            bounds=(run.value_low, run.value_high),
            listed=run.public_classes,
            **{name: value for name, value in settings.items() if name != "batch_key"},
            **{name: getattr(node, name) for name in UNITS},
        )
    else:
        RunConfig.parse({**asked, "task": task}, where="check")
        report = check_file(site, **settings)
    hours = [check_carbon_file(carbon_file, time.time())] if carbon_file else []
    screen = console()
    for finding in (*report.findings, *hours):
        mark, style = _MARKS[finding.level]
        screen.print(Text(f"{mark:>8}  ", style=style) + Text(finding.text, style="default"))
        if finding.fix:
            screen.print(Text(f"          fix: {finding.fix}", style="dim"))
    ready = report.ok and all(finding.level == "ok" for finding in hours)
    screen.print(f"{site}: {'ready' if ready else 'not ready'} for {task}", markup=False)
    raise typer.Exit(0 if ready else 1)
