"""A stage's release at a site: paid from the data set's own budget, then noised, once."""

from pathlib import Path

import numpy as np

from client.outbox import Outbox
from client.site import Site
from client.units import require_donors, require_few
from common.errors import BudgetError, ConfigError
from common.privacy.analytic_gaussian import LARGEST_EPSILON
from common.privacy.composition import composed_epsilon
from common.privacy.site_budget import SiteBudget, Whole
from common.synthesis.generator import Generator, Stage
from common.synthesis.of_run import require_generator
from common.synthesis.release import noise_of, stated_spend, whole_spend


def require_ready(site: Site) -> None:
    """Refuse a run here before anything is paid at any site.

    Raises
    ------
    ConfigError
        The unit is a donor and nothing names them; or the generator or its settings are none.
    BudgetError
        The run would cost more than is left.
    InputError
        There are more units than a sum holds.
    CountsError
        A value anywhere in the file is not what it must be.
    """
    config = site.config
    require_generator(config)
    if config.privacy_unit == "donor":
        require_donors(site)
    # What is left of a run that stopped costs less than all of it; each of it is paid in its turn.
    if config.private and not config.resume:
        budget_of(site).require_room([whole_spend(config)])
    owners = site.file.donors if config.privacy_unit == "donor" else site.file.obs_names
    require_few(len(set(owners)))
    # Found later, a NaN would void a release that all other sites have paid for.
    for _ in site.file.iter_counts():
        pass


def budget_of(site: Site) -> SiteBudget:
    """The data set's own budget, on the site's disk."""
    policy, config = site.policy, site.config
    if site.simulated:
        # Whoever has all sites' files has nothing to hide from himself.
        named, epsilon, delta = Path(site.node.data_path).name, LARGEST_EPSILON, config.delta
    else:
        named, epsilon, delta = policy.dataset, policy.max_epsilon, policy.budget_delta
    return SiteBudget(site.state_dir, named, config.privacy_unit, epsilon, delta)


class Release:
    """One stage of a run at a site.

    Parameters
    ----------
    site, generator
        Whose, and of what.
    number
        Of the stage, from 1.
    n_sites
        That begin its sum.
    run
        Flower's id of the run: no other session of it pays for less.
    """

    def __init__(self, site: Site, generator: Generator, number: int, n_sites: int, run: str):
        if not 1 <= number <= len(generator.stages):
            raise ConfigError(
                f"stage {number} of {len(generator.stages)} was asked for",
                public=f"stage {number} of {len(generator.stages)} was asked for",
            )
        self.site, self.n_sites = site, n_sites
        self.stage: Stage = generator.stages[number - 1]
        self.rest = generator.stages[number - 1 :]
        self.begin = f"{run}/noised_sums/"
        self.name = f"{self.begin}{number}"

    def noised(self, statistics: np.ndarray, outbox: Outbox) -> np.ndarray:
        """The statistics with this site's share of the noise, which is paid first: int64.

        Raises
        ------
        BudgetError
            It was made before, or it and the stages after it would cost more than is left.
        """
        if statistics.shape != (self.stage.n_values,) or statistics.dtype != np.int64:
            raise ConfigError(
                f"release {self.stage.name} gave {statistics.dtype} {statistics.shape}, not "
                f"{self.stage.n_values} whole numbers"
            )
        if not self.site.config.private:
            outbox.local(noise="off")
            return statistics
        config, budget = self.site.config, budget_of(self.site)
        spends = [stated_spend(noise_of(config, stage, self.n_sites)) for stage in self.rest]
        noise = noise_of(config, self.stage, self.n_sites)
        # Nor does a run get more that asks now for other stages than it began with.
        run = Whole(self.begin, config.epsilon, config.delta, rest=spends[1:])
        spent = budget.reserve(self.name, spends[:1], run)
        noised = statistics + noise.draw()
        budget.commit(self.name)
        outbox.local(
            release=self.name,
            noise_variance=float(noise.share),
            epsilon=composed_epsilon(spends[:1], config.delta),
            epsilon_spent=spent,
        )
        return noised

    def require_new(self) -> None:
        """Refuse a stage that was paid before, before anything is computed for it.

        Raises
        ------
        BudgetError
            It was: a second answer has other noise.
        """
        if self.site.config.private and budget_of(self.site).holds(self.name):
            raise BudgetError(
                f"release {self.name} was made before: a second answer has other noise and must "
                "be paid as another release; run again"
            )
