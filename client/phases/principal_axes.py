"""principal_axes: second moments of the site's scaled expression."""

from client.outbox import Outbox
from client.site import Site
from common.device import resolve_device
from common.principal_axes import site_second_moments
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Preprocess the cells, which later phases reuse, and sum products of genes."""
    matrix = site.matrix(request.panel)
    device = resolve_device(site.node.device)
    for name, value in site_second_moments(matrix, device).items():
        outbox.masked(name, value)
