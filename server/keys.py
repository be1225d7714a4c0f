"""Where sums hide their parts: the sites exchange keys before the first one."""

from common.secure.backend import SumBackend
from common.secure.masked import MaskedBackend
from server.federation import Federation
from strategies.keys import FirstOffers, Identities, Meet


def exchange_keys(federation: Federation, sums: SumBackend) -> None:
    """The key phases that a backend needs."""
    if not sums.masks:
        return
    identities = federation.run(Identities())
    if isinstance(sums, MaskedBackend):
        federation.run(FirstOffers(sums, identities))
    else:
        federation.run(Meet(identities))
