"""Time and peak memory of `syncytium evaluate` on 100,000 corrected cells x 2,000 genes.

`python -m bench.evaluation`: four simulated hospitals, corrected in a short run with both outputs;
then the command as a user gives it, in a process of its own.
"""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.report import keep
from cli.flower import command
from cli.run import execute
from common.data.simulation_plan import SimulationPlan
from common.data.simulator import simulate_sites

N_SITES, N_CELLS, N_GENES = 4, 100_000, 2_000
MOST_SECONDS, MOST_GB = 180, 6
# Enough that there is something to score: how well the model fits does not change what it takes.
SETTINGS = {"rounds": 2, "output": "both"}


def timed(arguments: list[str]) -> dict[str, float]:
    """Seconds, those of its processor, and peak resident memory of a command that succeeds."""
    start = time.perf_counter()
    process = subprocess.Popen(arguments, env={**os.environ, "OMP_NUM_THREADS": "1"})
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if code := os.waitstatus_to_exitcode(status):
        raise RuntimeError(f"{' '.join(arguments)}: exit code {code}")
    return {
        "wall_seconds": seconds,
        "processor_seconds": usage.ru_utime + usage.ru_stime,
        "load_average": os.getloadavg()[1],
        "peak_gb": usage.ru_maxrss * 1024 / 1e9,
    }


def measure(folder: Path) -> dict[str, Any]:
    """Make the corrected files in ``folder`` and score them."""
    plan = SimulationPlan(n_sites=N_SITES, n_cells=N_CELLS, n_genes=N_GENES, seed=0)
    simulate_sites(plan, folder / "sites")
    execute({"data": str(folder / "sites"), **SETTINGS}, folder / "run")
    cost = timed([command("syncytium"), "evaluate", str(folder / "run")])
    scored = json.loads((folder / "run/evaluation.json").read_text())
    return {
        **cost,
        "n_cells": scored["n_cells"],
        "n_cells_scored": scored["n_cells_scored"],
        "subsample": scored["subsample"],
        "matrices": list(scored["overall"]),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder))
    keys = ("processor_seconds", "wall_seconds", "peak_gb", "subsample")
    seconds, wall, peak_gb, subsample = (figures[key] for key in keys)
    claims = {
        f"under {MOST_SECONDS} s: {wall:.0f} s by the clock, {seconds:.0f} s of one core, with "
        f"{figures['load_average']:.1f} processes at work": wall < MOST_SECONDS,
        f"under {MOST_GB} GB: {peak_gb:.2f} GB resident": peak_gb < MOST_GB,
        f"{figures['n_cells']:,} cells, of which {figures['n_cells_scored']:,} are scored, which "
        "evaluation.json states": figures["n_cells"] == N_CELLS
        and subsample == {**(subsample or {}), "n_cells": figures["n_cells_scored"]},
    }
    data = f"{N_CELLS:,} cells x {N_GENES:,} genes of {N_SITES} sites, decoded and residual"
    keep("evaluation", {"data": data, **figures, "claims": claims})


if __name__ == "__main__":
    main()
