"""What metering costs, and whether the same work reads the same.

*Cost*: seconds spent in the meters of the sites and of the coordinator, and in the sum over sites,
of a run in one process without Flower's own, which takes less time than one through Flower: the
share is the larger for it. *Same work*: identical runs through Flower's simulation, one after the
other, each with its own processes. How far apart are any two, and is the first unlike the others,
as where a warm-up is charged to whatever comes first?

`python -m bench.metering DATA_DIR`, on an idle machine.
"""

import itertools
import statistics
import sys
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
from bench.report import keep
from cli.run import execute
from common.data.split import split_file
from server.workflows import classify, correct

DATASET = "pbmc_5study"
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


def costs(sites: Path, folder: Path) -> dict[str, dict[str, float]]:
    """Seconds of metering, of a run, and their ratio, by task."""
    watch = Stopwatch()
    for owner, name in METERED:
        setattr(owner, name, watch.around(getattr(owner, name)))
    found = {}
    for task, settings in TASKS.items():
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


def main(data_dir: Path) -> None:
    runs, verdicts = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        sites = Path(folder) / "sites"
        split_file(data_dir / f"{DATASET}.h5ad", "batch", sites)
        # Before anything is wrapped.
        for task, settings in TASKS.items():
            runs[task] = same_work(sites, Path(folder), settings)
        shares = costs(sites, Path(folder))
    for task, own in runs.items():
        kwh = [run["all"] for run in own]
        middle = statistics.median(kwh)
        # The same run twice: one after the other.
        apart = max(abs(a - b) / ((a + b) / 2) for a, b in itertools.pairwise(kwh))
        first = kwh[0] / statistics.mean(kwh[1:])
        spread = statistics.stdev(kwh[1:]) / statistics.mean(kwh[1:])
        verdicts |= {
            f"{task}: metering takes at most 1 % of a run: {100 * shares[task]['share']:.2f} %": (
                shares[task]["share"] <= MOST_SHARE
            ),
            f"{task}: two runs of the same work at most 10 % apart: {100 * apart:.1f} % "
            f"(of {1000 * middle:.3g} Wh, {REPEATS} runs)": apart <= MOST_APART,
            f"{task}: the first reads {first:.3f} x the mean of the later ones, whose standard "
            f"deviation is {100 * spread:.1f} %": abs(first - 1) <= max(3 * spread, 0.03),
        }
    keep("metering", {"data": DATASET, "runs": runs, "costs": shares, "claims": verdicts})


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
