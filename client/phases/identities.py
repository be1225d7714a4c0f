"""identities: the public halves of the site's keys for this run."""

from client.outbox import Outbox
from client.site import Site
from common.secure.backend import Parcel
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Send public fields only."""
    outbox.parcel(Parcel(site.sums.member.identity.fields()))
