"""remainders: means and variances of what the network does not encode, of the shared types."""

import numpy as np

from client.latents import latents_of
from client.model import received_model
from client.outbox import Outbox
from client.site import Site
from common.remainder import large_groups, remainder_moments
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Contribute the sums over this site's large batches of each type."""
    types, panel = request.values["referenced"], request.panel
    least = max(site.policy.min_reference_cells, site.config.min_reference_cells)
    model, preset, device = received_model(site, request)
    latent = latents_of(site, panel, model, preset, device).smoothed
    groups = large_groups(site.file.batches, site.file.cell_types, types, least)
    matrix = site.matrix(panel)
    moments = remainder_moments(model, matrix, latent, [rows for _, rows in groups], device)
    n_large = np.zeros(len(types))
    mean, variance = np.zeros((2, len(types), matrix.shape[1]))
    for (place, _), own in zip(groups, moments, strict=True):
        n_large[place] += 1
        mean[place] += own.mean
        variance[place] += own.variance
    outbox.masked("n_large", n_large)
    outbox.masked("mean", mean)
    outbox.masked("variance", variance)
