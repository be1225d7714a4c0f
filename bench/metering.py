"""What metering costs, and whether the same work reads the same.

*Cost*: seconds spent in the meters of the sites and of the coordinator, and in the sum over sites,
of a run in one process, where all of them can be clocked. Beside it is how long the same run takes
in that process, without Flower's own, and how long it takes a user, through Flower: of this one
metering may take 1 %. *Same work*: identical runs through Flower's simulation, one after the
other, each with its own processes. How far apart are any two, and is the first unlike the others,
as where a warm-up is charged to whatever comes first?

`python -m bench.metering DATA_DIR [--tasks classify,correct]`, on an idle machine. What an earlier
run measured of another task stays beside it.
"""

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import client.site
import common.energy
import server.energy
from bench.in_process import run_in_process
from bench.report import RESULTS, keep
from cli.run import execute
from common.data.split import split_file
from server.workflows import classify, correct

DATASET, NAME = "pbmc_5study", "metering"
REPEATS = 6
MOST_SHARE, MOST_APART = 0.01, 0.10
TASKS = {
    "classify": {"task": "classify", "classifier": "actinn"},
    "correct": {"task": "correct", "strategy": "fedavg"},
}
# Everything in which a run's metering spends its time.
METERED = (
    (client.site.Site, "meter"),
    (common.energy.Meter, "lap"),
    (server.energy.CoordinatorEnergy, "__init__"),
    (server.energy.CoordinatorEnergy, "lap"),
    (server.energy.CoordinatorEnergy, "note"),
    (classify, "sum_of_sites"),
    (correct, "sum_of_sites"),
)


class Stopwatch:
    """Seconds inside any of some functions; within one another they count once."""

    def __init__(self):
        self.seconds, self.depth = 0.0, 0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed."""

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            self.depth += 1
            try:
                return function(*args, **kwargs)
            finally:
                self.depth -= 1
                if not self.depth:
                    self.seconds += time.perf_counter() - start

        return timed


def costs(sites: Path, folder: Path, tasks: list[str]) -> dict[str, dict[str, float]]:
    """Seconds of metering, of a run in this process, and their ratio, by task."""
    watch = Stopwatch()
    for owner, name in METERED:
        setattr(owner, name, watch.around(getattr(owner, name)))
    found = {}
    for task in tasks:
        settings = TASKS[task]
        watch.seconds, start = 0.0, time.perf_counter()
        run_in_process(folder / f"cost-{task}", sites, settings)
        took = time.perf_counter() - start
        found[task] = {"metering": watch.seconds, "run": took, "share": watch.seconds / took}
    return found


def same_work(sites: Path, folder: Path, settings: dict[str, Any]) -> list[dict[str, float]]:
    """Of each run, by sites, coordinator and both: kWh; and seconds."""
    found = []
    for number in range(REPEATS):
        start = time.perf_counter()
        out = folder / f"{settings['task']}-{number}"
        energy = execute({"data": str(sites), **settings}, out)["energy"]
        parts = {who: energy[who]["kwh"] for who in ("sites", "coordinator")}
        cpu = {f"{who}_cpu": energy[who]["cpu_kwh"] for who in parts}
        seconds = time.perf_counter() - start
        found.append({**parts, **cpu, "all": sum(parts.values()), "seconds": seconds})
    return found


def claims(runs: list[dict[str, float]], cost: dict[str, float], task: str) -> dict[str, bool]:
    """What a task's runs and what metering costs show."""
    kwh = [run["all"] for run in runs]
    took = statistics.median(run["seconds"] for run in runs)
    share = cost["metering"] / took
    # The same run twice: one after the other.
    apart = max(abs(a - b) / ((a + b) / 2) for a, b in itertools.pairwise(kwh))
    first = kwh[0] / statistics.mean(kwh[1:])
    spread = statistics.stdev(kwh[1:]) / statistics.mean(kwh[1:])
    return {
        f"{task}: metering takes at most 1 % of a run: {100 * share:.2f} % of the {took:.0f} s "
        f"that it takes through Flower ({100 * cost['share']:.2f} % of {cost['run']:.0f} s in one "
        "process)": share <= MOST_SHARE,
        f"{task}: two runs of the same work at most 10 % apart: {100 * apart:.1f} % (of "
        f"{1000 * statistics.median(kwh):.3g} Wh, {len(runs)} runs)": apart <= MOST_APART,
        f"{task}: the first reads {first:.3f} x the mean of the later ones, whose standard "
        f"deviation is {100 * spread:.1f} %": abs(first - 1) <= max(3 * spread, 0.03),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--tasks", default=",".join(TASKS))
    given = parser.parse_args()
    tasks = given.tasks.split(",")
    kept = RESULTS / f"{NAME}.json"
    found = json.loads(kept.read_text())["tasks"] if kept.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        sites = Path(folder) / "sites"
        split_file(given.data.absolute() / f"{DATASET}.h5ad", "batch", sites)
        # Before anything is wrapped.
        runs = {task: same_work(sites, Path(folder), TASKS[task]) for task in tasks}
        cost = costs(sites, Path(folder), tasks)
    found |= {task: {"runs": runs[task], "cost": cost[task]} for task in tasks}
    shown = {}
    for task, own in found.items():
        shown |= claims(own["runs"], own["cost"], task)
    keep(NAME, {"data": DATASET, "tasks": found, "claims": shown})


if __name__ == "__main__":
    main()
