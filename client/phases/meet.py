"""meet: take the keys of the run's sites."""

from client.outbox import Outbox
from client.site import Site
from common.secure.member import identities_of
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Check them and enter their fingerprints into the site's own log."""
    member = site.sums.member
    member.meet(identities_of(request.values["identities"]))
    outbox.local(fingerprints=member.fingerprints())
    outbox.public("identities", member.digest())
