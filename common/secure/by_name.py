"""The backends of sums by the names of ``secure-sum``."""

from common.config import RunConfig
from common.secure.backend import SiteSum, SumBackend
from common.secure.guard import Guard
from common.secure.masked import MaskedBackend, MaskedSiteSum
from common.secure.masked_site import MaskedSite
from common.secure.member import Member
from common.secure.off import OffBackend, OffSite
from common.secure.site_keys import SiteKeys


def coordinator_sum(config: RunConfig) -> SumBackend:
    """The coordinator's half, for one run."""
    if config.secure_sum == "off":
        return OffBackend()
    if config.secure_sum == "crypten":
        # Imported when needed: it brings CrypTen and torch.
        from common.secure.crypten import CrypTenBackend

        return CrypTenBackend()
    return MaskedBackend(config.min_sites, config.consistency)


def site_sum(config: RunConfig, keys: SiteKeys, name: str, run: str, guard: Guard) -> SiteSum:
    """A site's half.

    Parameters
    ----------
    keys
        What the site keeps between messages; changed in place.
    name, run
        Its name in the sums, and the run's id.
    guard
        What it insists on.
    """
    if config.secure_sum == "off":
        return OffSite()
    if config.secure_sum == "crypten":
        from common.secure.crypten import CrypTenSite

        return CrypTenSite(Member(keys, name, run, guard))
    return MaskedSiteSum(MaskedSite(keys, name, run, guard))
