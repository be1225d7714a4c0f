"""Twenty SuperNodes on one machine, on simulated cells: whether a run completes, and its memory.

`python -m bench.many_nodes [N_SITES]`. The memory of all processes of a SuperNode, pages that
several processes share counted by halves (PSS), at its largest of samples every few seconds.
"""

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from bench.nodes import LINK, Nodes, nodes, with_children
from bench.report import keep
from common.data.simulator import SimulationPlan, simulate_sites

CELLS_PER_SITE, ROUNDS = 500, 2
SAMPLE_SECONDS, SECONDS = 15.0, 1800.0
CONF = Path(__file__).parent.parent / "conf/correct.toml"


def memory_mb(process: subprocess.Popen) -> float:
    """PSS of a process and all that it started."""
    total = 0
    for member in with_children(process):
        with contextlib.suppress(psutil.Error):
            total += member.memory_full_info().pss
    return total / 1e6


def finish(federation: Nodes, process: subprocess.Popen) -> dict[str, float]:
    """Wait for a run; the largest memory of each SuperNode meanwhile."""
    largest = dict.fromkeys(federation.sites, 0.0)
    end = time.monotonic() + SECONDS
    while process.poll() is None:
        if time.monotonic() > end:
            raise TimeoutError(f"no end within {SECONDS:g} s")
        for name, node in federation.sites.items():
            largest[name] = max(largest[name], memory_mb(node))
        time.sleep(SAMPLE_SECONDS)
    if process.returncode:
        raise RuntimeError((federation.folder / "run.log").read_text()[-4000:])
    return largest


def many_nodes(folder: Path, n_sites: int, *settings: str) -> dict:
    """A run with `KEY=VALUE` settings: its run.json, seconds, and MB of each SuperNode."""
    plan = SimulationPlan(n_sites=n_sites, n_cells=CELLS_PER_SITE * n_sites)
    files = simulate_sites(plan, folder / "data")
    with nodes(folder / "nodes") as federation:
        for path in files:
            output = str(federation.folder / path.stem)
            federation.start_site(path.stem, data_path=str(path), output_dir=output, name=path.stem)
        settings = (*settings, f"n-sites={n_sites}", f"min-sites={n_sites - 2}")
        options = [part for setting in settings for part in ("--set", setting)]
        out = federation.folder / "run"
        start = time.perf_counter()
        process = federation.syncytium(
            *("run", str(CONF), "--superlink", LINK, "--out", str(out)), *options
        )
        largest = finish(federation, process)
        seconds = round(time.perf_counter() - start, 1)
        corrected = [f for f in files if (federation.folder / f.stem / "corrected.h5ad").exists()]
        return {
            "run": json.loads((out / "run.json").read_text()),
            "n_corrected_sites": len(corrected),
            "seconds": seconds,
            "memory_mb": {name: round(mb, 1) for name, mb in largest.items()},
        }


def main() -> None:
    n_sites = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as folder:
        figures = many_nodes(Path(folder), n_sites, f"rounds={ROUNDS}")
    run = figures.pop("run")
    memory = list(figures["memory_mb"].values())
    middle, total = statistics.median(memory), sum(memory)
    print(f"{n_sites} SuperNodes: {middle:.0f} MB each, {total / 1000:.1f} GB together")
    done = run["status"] == "finished" and figures["n_corrected_sites"] == n_sites
    claim = f"a run over {n_sites} SuperNodes completes: {figures['seconds']:.0f} s"
    keep("many_nodes", {"n_sites": n_sites, **figures, "claims": {claim: done}})


if __name__ == "__main__":
    main()
