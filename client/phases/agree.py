"""agree: sign the list of a masked sum's survivors."""

from client.outbox import Outbox
from client.site import Site
from common.secure.backend import Parcel
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Send what the sum's backend answers."""
    asked = Parcel(request.values, request.arrays("upload"))
    outbox.parcel(site.sums.answer("agree", asked))
