"""The backends by name."""

from common.secure.backend import Off, SiteSum, SumBackend
from common.secure.masked import MaskedBackend, MaskedSiteSum
from common.secure.masked_site import MaskedSite, SiteKeys


def coordinator_sum(name: str, min_sites: int) -> SumBackend:
    """The coordinator's half of the backend called ``name``, for one run."""
    return MaskedBackend(min_sites) if name == "masked" else Off()


def site_sum(name: str, keys: SiteKeys, site: str, run: str, min_sites: int) -> SiteSum:
    """A site's half of the backend called ``name``.

    Parameters
    ----------
    keys
        What the site keeps between messages; changed in place.
    site, run
        Its name in the sums, and the run's id.
    min_sites
        It takes part in no sum of fewer sites.
    """
    return MaskedSiteSum(MaskedSite(keys, site, run, min_sites)) if name == "masked" else Off()
