"""latents: what the trained model's latents give, for the decoder and for the references."""

import numpy as np

from client.latents import latents_of
from client.model import received_model
from client.outbox import Outbox
from client.site import Site
from common.alignment import upper
from common.correction import batch_covariances, group_rows, largest_batches
from common.decoder_refit import site_normal_equations
from common.errors import PolicyError
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Contribute normal equations, dominant batches' means, and large batches' covariances.

    What a run does not need is empty: normal equations where the preset refits no decoder, means
    where no type has a dominant batch, covariances where means alone are made equal.
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
    latents = latents_of(site, request.panel, model, preset, device)
    equations = {"latent_products": np.zeros((0, 0)), "latent_residual": np.zeros((0, 0))}
    if preset.refit_decoder:
        n_cells = request.values["n_cells"]
        equations = site_normal_equations(model, matrix, latents.encoded, n_cells, device)
    for name, value in equations.items():
        outbox.masked(name, value)
    largest, _ = largest_batches(site.file.batches, site.file.cell_types)
    holders = np.zeros(len(maxima))
    latent, dim = latents.smoothed, preset.shape.latent_dim
    means = np.zeros((len(maxima), dim))
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
    n_large, covariances = np.zeros(0), np.zeros((0, 0))
    if preset.alignment == "covariance":
        least = max(least, site.config.min_reference_cells)
        n_large, covariances = _covariances(site, latent, list(maxima), least)
    outbox.masked("n_large", n_large)
    outbox.masked("covariance", covariances)


def _covariances(
    site: Site, latent: np.ndarray, types: list[str], least: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of each type the batches of ``least`` cells here, and the sum of their covariances."""
    dim = latent.shape[1]
    n_large = np.zeros(len(types))
    summed = np.zeros((len(types), dim * (dim + 1) // 2))
    groups = group_rows(site.file.batches, site.file.cell_types)
    for row, name in enumerate(types):
        batches = [rows for (_, cell_type), rows in groups.items() if cell_type == name]
        found = batch_covariances(latent, batches, least)
        n_large[row] = len(found)
        summed[row] = upper(found.sum(axis=0))
    return n_large, summed
