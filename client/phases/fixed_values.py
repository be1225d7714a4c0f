"""fixed_values: keep what of the model no training changes."""

from client.fixed_values import keep
from client.outbox import Outbox
from client.site import Site
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Later messages name it by its hash."""
    outbox.public("kept", keep(site, request.arrays("fixed")))
