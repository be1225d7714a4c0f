"""Sites and a coordinator of one masked sum, without messages between them."""

from dataclasses import dataclass, field

import numpy as np

from common.secure.backend import SumContext
from common.secure.guard import Guard
from common.secure.masked_coordinator import open_sum
from common.secure.masked_site import MaskedSite, Offer
from common.secure.site_keys import SiteKeys
from common.secure.threshold import default_threshold

RUN = "7"


def masked_site(name, run=RUN, **rules):
    """A site called ``name`` in the sums and by itself."""
    return MaskedSite(SiteKeys(run), name, run, Guard(site=name, **rules))


@dataclass
class Parties:
    """``n`` sites that have met and offered keys for sum 0; names sort as they are numbered."""

    n: int
    min_sites: int = 2
    n_words: int = 33
    seed: int = 0
    consistency: bool = False
    sites: dict[str, MaskedSite] = field(init=False)
    offers: dict[str, Offer] = field(init=False)

    def __post_init__(self):
        rng = np.random.default_rng([self.seed, self.n])
        self.names = tuple(f"site-{i:02d}" for i in range(self.n))
        self.threshold = default_threshold(self.n, self.min_sites, self.consistency)
        self.vectors = {
            name: rng.integers(2**64, size=self.n_words, dtype=np.uint64) for name in self.names
        }
        self.sites = {
            name: masked_site(name, min_sites=self.min_sites, consistency=self.consistency)
            for name in self.names
        }
        identities = {name: site.identity for name, site in self.sites.items()}
        for site in self.sites.values():
            site.meet(identities)
        self.offers = self.offered(0, self.names)

    def offered(self, number, names):
        """The offers of some sites for a sum, with shares for all of them."""
        return {name: self.sites[name].offer(number, names, self.threshold) for name in names}

    def publics(self, names=None):
        return {name: self.offers[name].round_key for name in names or self.names}

    def context(self, n_sites=None, **changed):
        entries = {"run": RUN, "phase": "fit", "round": 1, "attempt": 0}
        return SumContext(**{**entries, "n_sites": n_sites or self.n, **changed})

    def upload(self, name, number=0, context=None, keys=None):
        """One site's upload among all."""
        site, context = self.sites[name], context or self.context()
        site.begin(context, number, keys or self.publics())
        return site.upload(self.vectors[name], context, number)

    def boxes_for(self, name):
        return {sender: offer.boxes[name] for sender, offer in self.offers.items()}

    def agree(self, name, survivors, number=0):
        return self.sites[name].agree(number, tuple(survivors))

    def reveal(self, name, survivors, number=0, signatures=None):
        boxes = self.boxes_for(name)
        return self.sites[name].reveal(number, tuple(survivors), boxes, signatures)

    def open(self, uploads, revealed):
        """What the coordinator makes of uploads and reveals, both by site."""
        return open_sum(
            sum(uploads.values(), np.zeros(self.n_words, np.uint64)),
            self.context(),
            self.offers,
            self.names,
            self.threshold,
            tuple(sorted(uploads)),
            revealed,
        )

    def expected(self, names):
        """The sum by Python integers."""
        rows = [self.vectors[name].tolist() for name in names]
        return [sum(column) % 2**64 for column in zip(*rows, strict=True)]
