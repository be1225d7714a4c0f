"""The phase `peaks`: the largest batch of each type over the sites, as numpy counts it."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from client.phases import peaks
from common.config import RunConfig
from common.errors import SecureSumError
from server.checkpoint import Checkpoint
from server.federation import Federation
from server.runs import RunFolder
from server.workflows.correct import Correct
from strategies.private_max import BASE
from strategies.secure_sum import Summed
from tests.in_process import InProcessGrid
from tests.small_sites import site, write_sites

TYPES = ["A", "B", "C", "D", "nowhere"]


def maxima_of(out, sites, tamper=lambda reply: reply, **settings):
    """What the coordinator learns, and what it notes of the types that are not shifted."""
    data = write_sites(out / "data", sites)
    # Unmasked, so that what the sum itself shows is seen.
    plain = {"secure-sum": "off", "min-sites": 1}
    values = {"data": str(data), "out": str(out / "run"), "n-sites": len(sites)} | plain | settings
    config = RunConfig.parse(values, where="test")
    folder = RunFolder(out / "run", config, 7)
    federation = Federation(InProcessGrid(len(sites), config.flat(), tamper), config, folder)
    workflow = Correct(federation, config, folder, "7")
    return workflow.maxima(TYPES), folder._run["unshifted_types"]


def by_pandas(sites, least):
    """The same from the pooled cells."""
    cells = pd.concat([d.obs.assign(site=i) for i, d in enumerate(sites)]).astype(str)
    sizes = cells.groupby(["cell_type", "site", "batch"]).size()
    maxima, unshifted = {}, {"nowhere": "held by one batch only"}
    for name in sorted(set(cells["cell_type"])):
        if len(sizes[name]) < 2:
            unshifted[name] = "held by one batch only"
        elif sizes[name].max() < least:
            unshifted[name] = f"no batch has {least} cells"
        else:
            maxima[name] = int(sizes[name].max())
    return maxima, unshifted


def random_sites(seed, n_sites):
    rng = np.random.default_rng(seed)
    return [
        site(
            {
                (batch, name): int(rng.integers(1, 60))
                for batch in ("p", "q", "r")[: rng.integers(1, 4)]
                for name in "ABCD"
                if rng.random() < 0.7
            }
            | {("p", "A"): 4},
            seed=number,
        )
        for number in range(n_sites)
    ]


@pytest.mark.parametrize(("seed", "n_sites"), [(0, 1), (1, 2), (2, 3), (3, 7)])
def test_maxima_equal_numpy(tmp_path, seed, n_sites):
    sites = random_sites(seed, n_sites)
    maxima, unshifted = maxima_of(tmp_path, sites, **{"min-reference-cells": 20})
    assert (maxima, unshifted) == by_pandas(sites, 20)


def test_counts_of_two_digits(tmp_path):
    """Around 1024 the first digit decides, then the second; a smaller first digit drops out."""
    sizes = [
        {("p", "A"): BASE - 1, ("p", "B"): BASE, ("p", "C"): BASE + 7, ("p", "D"): 2 * BASE},
        {("p", "A"): BASE - 2, ("p", "B"): BASE - 1, ("p", "C"): BASE + 9, ("p", "D"): BASE + 500},
    ]
    sites = [site(cells, seed=i) for i, cells in enumerate(sizes)]
    maxima, _ = maxima_of(tmp_path, sites)
    assert maxima == by_pandas(sites, 20)[0]
    assert maxima == {"A": 1023, "B": 1024, "C": 1033, "D": 2048}


def test_the_coordinator_sees_neither_owner_nor_number_of_owners(tmp_path):
    """What it sums is random wherever it is not zero: two runs agree in no slot that is filled."""
    sites = [site({("p", "A"): 30, ("p", "B"): 25}), site({("q", "A"): 30, ("q", "B"): 21}, seed=1)]
    uploads = []

    def keep(reply):
        uploads.append(reply.content.array_records["upload"]["vector"].numpy())
        return reply

    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        assert maxima_of(tmp_path / run, sites, keep)[0] == {"A": 30, "B": 25}
    n_slots = len(TYPES) * BASE
    one, two = (
        sum(uploads[first : first + 2])[:n_slots].reshape(len(TYPES), BASE) for first in (2, 6)
    )
    assert list((one != 0).sum(axis=1)) == list((two != 0).sum(axis=1)) == [31, 26, 0, 0, 0]
    assert not np.any((one == two) & (one != 0))


def test_a_site_enters_its_largest_batch_only_from_min_reference_cells(tmp_path, monkeypatch):
    entered = []
    real = peaks.thermometer
    monkeypatch.setattr(
        peaks, "thermometer", lambda counts, higher: entered.append(counts) or real(counts, higher)
    )
    sites = [
        site({("p", "A"): 19, ("p", "B"): 20, ("q", "A"): 7, ("q", "B"): 33}),
        site({("p", "A"): 21, ("p", "B"): 1}, seed=1),
    ]
    maxima_of(tmp_path, sites)
    assert entered[:2] == [[0, 33, 0, 0, 0], [21, 0, 0, 0, 0]]


def test_a_holder_lost_between_the_two_sums_is_said(tmp_path):
    """Its first digit stands, and nobody is left who reaches the second."""
    high, low = np.zeros((1, 1024)), np.zeros((1, 1024))
    high[0, :2] = 7
    sums = iter({"thermometer": slots, "n_batches": np.array([2.0])} for slots in (high, low))
    workflow = Correct.__new__(Correct)
    workflow.config, workflow.folder = RunConfig(), None
    workflow.reached = Checkpoint(tmp_path)
    workflow.session = SimpleNamespace(sum=lambda phase, **content: Summed(next(sums), 2))
    with pytest.raises(SecureSumError, match=r"largest batch of 'T cell' was lost"):
        workflow.maxima(["T cell"])
