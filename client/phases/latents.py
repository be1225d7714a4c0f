"""latents: what the trained model's latents give, for the decoder and for the references."""

import numpy as np

from client.model import received_model
from client.outbox import Outbox
from client.site import Site
from common.coding import encode
from common.correction import largest_batches
from common.decoder_refit import site_normal_equations
from common.errors import PolicyError
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Contribute normal equations, and the mean and a 1 for each dominant batch held here.

    What a run does not need is empty: normal equations where the preset refits no decoder, means
    where no type has a dominant batch.
    """
    least = site.policy.min_reference_cells
    for cell_type, maximum in request.values["maxima"].items():
        if not (isinstance(maximum, int) and maximum >= least):
            raise PolicyError(
                f"policy rule min-reference-cells = {least}: the mean of {maximum!r} cells of "
                f"{cell_type!r} is asked for"
            )
    maxima, matrix = request.values["maxima"], site.matrix(request.panel)
    model, preset, device = received_model(site, request)
    latent = encode(model, matrix, device)
    site.keep_latent(request.panel, model.encoder_digest(), latent)
    equations = {"latent_products": np.zeros((0, 0)), "latent_residual": np.zeros((0, 0))}
    if preset.refit_decoder:
        n_cells = request.values["n_cells"]
        equations = site_normal_equations(model, matrix, latent, n_cells, device)
    for name, value in equations.items():
        outbox.masked(name, value)
    largest, _ = largest_batches(site.file.batches, site.file.cell_types)
    holders = np.zeros(len(maxima))
    means = np.zeros((len(maxima), preset.shape.latent_dim))
    for row, (cell_type, maximum) in enumerate(maxima.items()):
        for batch in largest.get(cell_type, []):
            if batch.n_cells > maximum:
                # A wrong maximum. A refusal would compare a coordinator's guess with this count.
                outbox.local(larger_here=cell_type)
            if batch.n_cells == maximum:
                holders[row] += 1
                means[row] += latent[batch.rows].mean(axis=0, dtype=np.float64)
    outbox.masked("n_holders", holders)
    outbox.masked("mean_latent", means)
