"""offers: take the keys of the run's sites and offer some for the first masked sum."""

from client.outbox import Outbox
from client.site import Site
from common.secure.backend import Parcel
from common.secure.member import identities_of
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Check them, enter their fingerprints into the site's own log, and offer keys."""
    member = site.sums.member
    member.meet(identities_of(request.values["identities"]))
    outbox.local(fingerprints=member.fingerprints())
    outbox.parcel(Parcel(site.sums.first_offer(request.values)))
