"""`syncytium demo`: four simulated hospitals, end to end."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.console import console, shown
from cli.evaluate import show_evaluation
from cli.report import report_of_run
from cli.run import execute

CELLS_PER_SITE = 1000


def demo(
    out: Annotated[
        Path | None, typer.Option(help="run folder", show_default="runs/demo-DATE-TIME")
    ] = None,
    sites: Annotated[int, typer.Option(min=2, help="simulated hospitals")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="of the data and of the training")] = 42,
) -> None:
    """Let simulated hospitals train together and correct their own cells, and show the gain."""
    from common.data.simulation_plan import SimulationPlan
    from common.data.simulator import simulate_sites

    screen = console()
    out = out or Path("runs") / f"demo-{datetime.now():%Y%m%d-%H%M%S}"
    screen.print(
        f"{sites} hospitals with {CELLS_PER_SITE:,} cells on average, simulated from real PBMCs "
        "(docs/demo-data.md)",
    )
    plan = SimulationPlan(n_sites=sites, n_cells=CELLS_PER_SITE * sites, seed=seed)
    files = simulate_sites(plan, out / "data")
    for path in files:
        screen.print(f"  {shown(path)}", markup=False)
    execute({"data": str(out / "data"), "seed": seed}, out, where="demo")
    show_evaluation(out, screen)
    report_of_run(out, screen, draw=True)
