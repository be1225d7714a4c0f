"""identities: the public half of the site's key for this run."""

from client.outbox import Outbox
from client.site import Site
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Send public fields only."""
    for name, value in site.sums.identity().items():
        outbox.public(name, value)
