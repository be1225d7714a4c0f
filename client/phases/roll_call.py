"""roll_call: a first sum of nothing but the sites, after which one of them may be lost again."""

from client.outbox import Outbox
from client.site import Site
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Be there."""
    outbox.masked("present", 1)
