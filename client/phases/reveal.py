"""reveal: help to open a masked sum."""

from client.outbox import Outbox
from client.site import Site
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Send public fields only."""
    for name, value in site.sums.reveal(request.values).items():
        outbox.public(name, value)
