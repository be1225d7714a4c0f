"""means: mean latent vectors of the batches that turned out to be the largest of their type."""

import numpy as np

from client.model import received_model
from client.outbox import Outbox
from client.site import Site
from common.correction import encode, largest_batches
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Contribute the mean and a 1 for each dominant batch held here, zeros elsewhere."""
    maxima, panel = request.values["maxima"], request.panel
    model, preset, device = received_model(site, request)
    latent = encode(model, site.matrix(panel), device)
    largest, _ = largest_batches(site.file.batches, site.file.cell_types)
    holders = np.zeros(len(maxima))
    means = np.zeros((len(maxima), preset.shape.latent_dim))
    for row, (cell_type, maximum) in enumerate(maxima.items()):
        for batch in largest.get(cell_type, []):
            if batch.n_cells == maximum:
                holders[row] += 1
                means[row] += latent[batch.rows].mean(axis=0, dtype=np.float64)
    outbox.masked("n_holders", holders)
    outbox.masked("mean_latent", means)
