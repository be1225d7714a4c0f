"""What tests of killed nodes share: four small sites, moments at random, and equal results."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np

from common.bundle import Bundle
from tests.small_sites import TINY, federate, leftovers, lines, site, three_sites, write_sites

NAMES = ["site-1", "site-2", "site-3", "site-4"]
ROUNDS = 4
SETTINGS = {**TINY, "rounds": ROUNDS, "n_sites": 4, "min_sites": 3}
SECONDS = 420.0


def four_sites(folder: Path) -> Path:
    """Small sites, as many as a real site's policy needs and one."""
    fourth = site({("t", "A"): 40, ("t", "B"): 35}, seed=4)
    return write_sites(folder, [*three_sites(), fourth])


def simulate(out: Path, data: Path) -> Path:
    """The run that nothing disturbs, in this process."""
    values = {key: value for key, value in SETTINGS.items() if key != "n_sites"}
    federate(out, data, 4, **values)
    return out


def wait_until(reached: Callable[[], Any], what: str, process: Any = None) -> Any:
    """What ``reached`` gives once it is true; fails after a while, or when the process ends."""
    end = time.monotonic() + SECONDS
    while not (found := reached()):
        assert time.monotonic() < end, what
        assert process is None or process.poll() is None, what
        time.sleep(0.02)
    return found


def n_rounds(run: Path) -> int:
    """Rounds that a run has finished."""
    path = run / "metrics.jsonl"
    return len(lines(path)) if path.exists() else 0


def some_time_in_training(run: Path, process: Any) -> None:
    """A random moment between two rounds' ends; the seed is shown when the test fails."""
    seed = random.SystemRandom().randrange(10**6)
    print("moment", seed)
    rng = random.Random(seed)
    after = rng.randrange(1, ROUNDS - 1)
    wait_until(lambda: n_rounds(run) >= after, f"round {after}", process)
    time.sleep(rng.uniform(0.0, 3.0))


def assert_same_model(run: Path, other: Path) -> None:
    """Bit for bit."""
    one, two = (Bundle.load(each / "bundle") for each in (run, other))
    assert one.panel.genes == two.panel.genes
    for name, value in two.state.items():
        np.testing.assert_array_equal(one.state[name], value, err_msg=name)
    assert list(one.references) == list(two.references)
    for name, value in two.references.items():
        np.testing.assert_array_equal(one.references[name].mean, value.mean, err_msg=name)
        np.testing.assert_array_equal(one.references[name].covariance, value.covariance)


def assert_corrected(outputs: dict[str, Path], simulated: Path) -> None:
    """The corrected cells in each site's output folder are those of a simulation's run folder."""
    for name, output in outputs.items():
        own = anndata.read_h5ad(output / "corrected.h5ad")
        other = anndata.read_h5ad(simulated / "sites" / name / "corrected.h5ad")
        np.testing.assert_array_equal(own.obsm["decoded"], other.obsm["decoded"])
        assert leftovers(output) in ([], ["participants.lock"])
