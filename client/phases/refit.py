"""refit: the normal equations of the decoder's linear path."""

from client.model import received_model
from client.outbox import Outbox
from client.site import Site
from common.decoder_refit import site_normal_equations
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Encode every cell and contribute products of latents with latents and residuals."""
    panel = request.panel
    model, _, device = received_model(site, request)
    n_cells = request.values["n_cells"]
    sums = site_normal_equations(model, site.matrix(panel), n_cells, device)
    for name, value in sums.items():
        outbox.masked(name, value)
