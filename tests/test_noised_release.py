"""A site's release: paid on its own disk first, noised with its share, and made once."""

import dataclasses
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import stats

from client.outbox import Outbox
from client.release import Release, budget_of, require_ready
from client.site import Site
from common.errors import BudgetError, ConfigError, SecureSumError
from common.node_config import NodeConfig
from common.policy import SitePolicy
from common.privacy.site_budget import FILE, SiteBudget
from common.secure.backend import SumContext
from common.synthesis.generator import Stage
from common.synthesis.of_run import require_stages, schema_of
from common.synthesis.pooled import mu_of_run, variance_of
from common.synthesis.release import noise_of
from tests.masked_parties import Parties
from tests.small_cohorts import config_of
from tests.tiny_generator import Tiny

CHANCE = 1e-6


class Wide(Tiny):
    """One release of many numbers."""

    @property
    def stages(self):
        return (Stage("wide", 20_000, 2**12, 1.0, 2.0**30),)


def site_at(folder, *, config=None, **rules):
    """A real site whose policy has these rules."""
    rules = {"max_epsilon": 2.0, "dataset": "cohort", **rules}
    policy = SitePolicy.parse({k.replace("_", "-"): v for k, v in rules.items()}, where="test")
    node = NodeConfig.parse({"data-path": "x.h5ad", "output-dir": str(folder)}, where="test")
    return Site(config or config_of(), node, policy, simulated=False)


def generator_for(config, kind=Tiny):
    schema = schema_of(config, ["a", "b"], ["A", "B"])
    return kind(schema, config.stated_epsilon, config.delta, config.options)


def release_at(site, number=1, n_sites=4, run="7", kind=Tiny):
    return Release(site, generator_for(site.config, kind), number, n_sites, run)


def noised(release, folder):
    zeros = np.zeros(release.stage.n_values, dtype=np.int64)
    return release.noised(zeros, Outbox("noised_sums", folder / "outbox.jsonl"))


def variance_is(values, variance):
    """Whether the squares add up to so much, but for one chance in a million."""
    total = float((values.astype(float) ** 2).sum()) / float(variance)
    low, high = stats.chi2.ppf([CHANCE / 2, 1 - CHANCE / 2], len(values))
    return low < total < high


@pytest.mark.parametrize(
    ("n_sites", "lost", "colluding"), [(2, 0, 0), (3, 0, 0), (7, 0, 0), (5, 1, 1), (4, 0, 2)]
)
def test_the_shares_carry_exactly_the_stated_variance(tmp_path, n_sites, lost, colluding):
    config = config_of(noise_lost=lost, noise_colluding=colluding)
    total, shares = np.zeros(20_000, dtype=np.int64), []
    for number in range(n_sites):
        release = release_at(
            site_at(tmp_path / str(number), config=config), n_sites=n_sites, kind=Wide
        )
        shares.append(noised(release, tmp_path / str(number)))
        total += shares[-1]
    stated = variance_of(release.stage, mu_of_run(config.epsilon, config.delta))
    # Lost and colluding sites' shares taken off, what a trusted centre would add is left.
    left = sum(shares[: n_sites - lost - colluding])
    assert variance_is(left, stated)
    assert variance_is(total, stated * n_sites / (n_sites - lost - colluding))
    # A tenth less is told apart: the test sees it.
    assert not variance_is(left, stated * 10 / 9)


def test_a_release_is_on_disk_before_its_noise_is_drawn(tmp_path, monkeypatch):
    site = site_at(tmp_path)

    def draw(noise):
        (line,) = json.loads((tmp_path / FILE).read_text())["releases"]
        assert (line["release"], line["state"]) == ("7/noised_sums/1", "reserved")
        raise KeyboardInterrupt

    monkeypatch.setattr("common.privacy.distributed_noise.SharedNoise.draw", draw)
    with pytest.raises(KeyboardInterrupt):
        noised(release_at(site), tmp_path)
    monkeypatch.undo()
    # Killed there, it is spent, and not made again.
    assert 0 < budget_of(site).spent() < 2
    with pytest.raises(BudgetError, match="7/noised_sums/1 was made before"):
        release_at(site).require_new()
    with pytest.raises(BudgetError, match="would make it"):
        noised(release_at(site), tmp_path)


def test_all_stages_cost_the_whole_epsilon_and_no_more(tmp_path):
    site = site_at(tmp_path)
    for number in (1, 2):
        noised(release_at(site, number), tmp_path)
    assert budget_of(site).spent() == pytest.approx(2.0, rel=1e-5)
    assert budget_of(site).spent() <= 2.0
    for refused in (release_at(site, 1), release_at(site, 2, run="8")):
        with pytest.raises(BudgetError) as caught:
            noised(refused, tmp_path)
        # What is spent tells of runs with others: it stays here.
        assert not any(letter.isdigit() for letter in caught.value.public)
    with pytest.raises(BudgetError, match="budget is epsilon 2"):
        require_ready(site)


def test_a_run_that_cannot_be_paid_to_its_end_is_not_begun(tmp_path):
    site = site_at(tmp_path, max_epsilon=1.5)
    with pytest.raises(BudgetError):
        noised(release_at(site), tmp_path)
    assert budget_of(site).spent() == 0


def test_a_stage_costs_what_the_site_computes_whatever_is_lost(tmp_path):
    """Of no message: n_sites is that of the sum, whose participants signed their keys."""
    spent = {}
    for lost, n_sites in ((0, 4), (2, 4), (0, 40)):
        folder = tmp_path / f"{lost}-{n_sites}"
        site = site_at(folder, config=config_of(noise_lost=lost))
        noised(release_at(site, n_sites=n_sites), folder)
        spent[lost, n_sites] = budget_of(site).spent()
    # More sites, less noise each: the sum's is the same, and so is what it costs.
    assert len({round(value, 6) for value in spent.values()}) == 1


def test_other_classes_within_a_run_do_not_buy_a_larger_share(tmp_path):
    """A coordinator that asks for stages of another split: 0.9 of the privacy, twice."""
    site = site_at(tmp_path, max_epsilon=50.0)
    first = config_of(generator_options="counts-share = 0.9")
    noised(release_at(dataclasses.replace(site, config=first)), tmp_path)
    second = config_of(generator_options="counts-share = 0.1")
    with pytest.raises(BudgetError, match="budget is epsilon 2 "):
        noised(release_at(dataclasses.replace(site, config=second), 2), tmp_path)


def test_two_stages_at_once_do_not_exceed_the_run(tmp_path, monkeypatch):
    """Both are asked for before either is paid: 0.9 of the privacy each, of other splits."""
    site = site_at(tmp_path, max_epsilon=50.0)
    both = [
        release_at(dataclasses.replace(site, config=config_of(generator_options=options)), number)
        for number, options in ((1, "counts-share = 0.9"), (2, "counts-share = 0.1"))
    ]
    meeting, reserve = threading.Barrier(2), SiteBudget.reserve

    def together(*args, **named):
        meeting.wait(timeout=30)
        return reserve(*args, **named)

    monkeypatch.setattr(SiteBudget, "reserve", together)
    with ThreadPoolExecutor(2) as pool:
        faults = [f.exception() for f in [pool.submit(noised, r, tmp_path) for r in both]]
    (refused,) = [fault for fault in faults if fault]
    assert isinstance(refused, BudgetError)
    assert "budget is epsilon 2 " in str(refused)
    assert budget_of(site).spent() <= 2


def test_a_stage_that_is_none_is_refused(tmp_path):
    for number in (0, 3):
        with pytest.raises(ConfigError, match=f"stage {number} of 2"):
            release_at(site_at(tmp_path), number)


def test_records_and_donors_have_no_common_budget(tmp_path):
    noised(release_at(site_at(tmp_path, max_epsilon=9.0)), tmp_path)
    donors = config_of(privacy_unit="donor")
    with pytest.raises(ConfigError, match="has spent its budget per record"):
        noised(release_at(site_at(tmp_path, config=donors, max_epsilon=9.0)), tmp_path)


def test_shares_of_the_privacy_are_not_more_than_all_of_it():
    config = config_of(generator_options="counts-share = -0.5")
    with pytest.raises(ConfigError, match="spends 1 of the run's privacy"):
        require_stages(generator_for(config))

    class Greedy(Tiny):
        @property
        def stages(self):
            return (*super().stages, Stage("more", 3, 2**12, 0.1, 1.0))

    with pytest.raises(ConfigError, match=r"spends 1\.1 of the run's privacy"):
        require_stages(generator_for(config_of(), Greedy))


def test_a_sum_that_could_not_hold_the_noise_is_refused():
    stage = Stage("fine", 3, 2.0**45, 1.0, 2.0**50)
    with pytest.raises(ConfigError, match=r"release fine .*less than 2\^40 can be drawn"):
        noise_of(config_of(epsilon=0.01), stage, 2)
    with pytest.raises(ConfigError, match="do not fit a sum"):
        noise_of(config_of(), Stage("large", 3, 2.0**24, 1.0, 2.0**52), 2)
    coarse = Stage("coarse", 3, 1.0, 1.0, 2.0**10)
    with pytest.raises(ConfigError, match="too little noise for the grid"):
        noise_of(config_of(epsilon=50.0), coarse, 2)


def revealed(noise_lost, n_survivors, phase="noised_sums"):
    """What sites answer that are to open a sum over some of those who uploaded."""
    parties = Parties(5, min_sites=2)
    context = SumContext("7", phase, 1, 0, 5)
    for site in parties.sites.values():
        site.guard = dataclasses.replace(site.guard, noise_lost=noise_lost)
    for name in parties.names:
        parties.upload(name, context=context)
    survivors = parties.names[:n_survivors]
    return [parties.reveal(name, survivors) for name in survivors]


def test_no_site_helps_to_open_what_lacks_noise():
    """A coordinator that drops uploads would get sums with less noise than was paid for."""
    assert len(revealed(0, 5)) == 5
    assert len(revealed(1, 4)) == 4
    with pytest.raises(SecureSumError, match="1 of 5 sites are lost and the noise covers at most"):
        revealed(0, 4)
    with pytest.raises(SecureSumError, match="2 of 5 sites are lost"):
        revealed(1, 3)
    # Other sums hold no noise.
    assert len(revealed(0, 4, phase="fit")) == 4
