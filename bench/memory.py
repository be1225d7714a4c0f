"""Peak memory of a site with 200,000 cells x 2,000 genes, through Flower, all phases.

`python -m bench.memory`; the site comes from the simulator.
"""

import tempfile
import threading
import time
from pathlib import Path

import psutil

from bench.report import keep
from cli.run import execute
from common.data.simulation_plan import SimulationPlan
from common.data.simulator import simulate_sites

N_CELLS, N_GENES = 200_000, 2_000


class ActorMemory(threading.Thread):
    """Watches the resident memory of the process that plays the site."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.done = threading.Event()

    def run(self) -> None:
        """Look five times a second."""
        while not self.done.wait(0.2):
            for process in psutil.process_iter(["name", "cmdline", "memory_info"]):
                title = " ".join(process.info["cmdline"] or [])
                if "ClientAppActor" in title and process.info["memory_info"]:
                    self.peak = max(self.peak, process.info["memory_info"].rss)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        plan = SimulationPlan(n_sites=1, n_cells=N_CELLS, n_genes=N_GENES, seed=0)
        simulate_sites(plan, Path(folder) / "site")
        watch = ActorMemory()
        watch.start()
        start = time.perf_counter()
        settings = {"data": f"{folder}/site", "rounds": 2}
        settings |= {"secure-sum": "off", "min-sites": 1}
        run = execute(settings, Path(folder) / "run")
        seconds = time.perf_counter() - start
        watch.done.set()
        watch.join()
    peak = watch.peak / 1e9
    keep(
        "memory",
        {
            "data": f"{N_CELLS:,} cells x {N_GENES:,} genes, one site, 2 rounds",
            "peak_gb": peak,
            "seconds": seconds,
            "n_corrected": run["n_corrected"],
            "claims": {f"under 3 GB: {peak:.2f} GB resident": 0 < peak < 3},
        },
    )


if __name__ == "__main__":
    main()
