"""Bagging: every site grows a round of trees by itself, and the forest takes all of them.

The fast alternative to sums of histograms: one message of some kilobytes a round. It is not the
pooled training, and a site's trees are seen as they are, not summed: thresholds and leaf values of
its own cells. A policy that requires masked sums does not allow it.

References
----------
Flower's FedXgbBagging; there the sites' trees are added up as they are, here averaged, so that a
round is one step of the learning rate however many sites there are.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from common.boosting.forest import Forest
from common.boosting.grower import Boosting, Grower, grow
from common.boosting.site import BoostingSite
from common.errors import ConfigError


def site_trees(
    site: BoostingSite,
    forest: Forest,
    boosting: Boosting,
    class_weight: np.ndarray | None = None,
) -> Forest:
    """The trees that a site alone grows after the common forest.

    Parameters
    ----------
    site
        Its cells, at least one.
    forest
        All rounds so far; empty at first, see :meth:`common.boosting.forest.Forest.empty`.
    boosting
        Rounds to grow, and rules.
    class_weight
        As :class:`common.boosting.grower.Grower` takes it.

    Returns
    -------
    trees
        The new rounds, without gains and sums of hessians: those would tell numbers of cells.

    Raises
    ------
    ConfigError
        The site has no cells.
    """
    counts = np.bincount(site.labels, minlength=forest.n_classes)
    grower = Grower(site.edges, counts, boosting, class_weight, start=forest)
    grown = grow(grower, [site])
    new = grown.rounds(forest.n_rounds, grown.n_rounds)
    return replace(new, gain=np.zeros_like(new.gain), cover=np.zeros_like(new.cover))


def bagged(
    forest: Forest, sites: Sequence[Forest], weights: Sequence[float] | None = None
) -> Forest:
    """The common forest with the sites' trees, one round for all of theirs.

    Parameters
    ----------
    forest
        The rounds that the sites grew theirs after.
    sites
        :func:`site_trees` of each; of one round, or of as many each.
    weights
        Factor of each site's leaves; default 1 / n_sites. All 1 is Flower's sum.

    Returns
    -------
    forest
        With each round of the sites as one round, site by site.

    Raises
    ------
    ConfigError
        No site, sites of different rounds, or another number of weights.
    InputError
        Trees for other genes or classes.
    """
    weights = [1 / len(sites)] * len(sites) if weights is None and sites else weights or []
    rounds = {site.n_rounds for site in sites}
    if len(rounds) != 1 or len(weights) != len(sites):
        raise ConfigError(
            f"{len(sites)} sites with {sorted(rounds)} rounds and {len(weights)} weights: "
            "give at least one site, as many rounds of each, and a weight for each"
        )
    scaled = [
        replace(site, value=site.value * np.float32(weight))
        for site, weight in zip(sites, weights, strict=True)
    ]
    for index in range(rounds.pop()):
        parts = [site.rounds(index, index + 1) for site in scaled]
        together = parts[0].followed_by(*parts[1:])
        one = replace(together, round_starts=np.array([0, together.n_trees]))
        forest = forest.followed_by(one)
    return forest
