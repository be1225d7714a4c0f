"""means: mean latent vectors of the batches that turned out to be the largest of their type."""

import numpy as np
from flwr.app import RecordDict

from client.model import received_model
from client.outbox import Outbox
from client.site import Site
from common.correction import encode, largest_batches
from strategies.records import panel_of, values_of


def run(site: Site, request: RecordDict, outbox: Outbox) -> None:
    """Contribute the mean and a 1 for each dominant batch held here, zeros elsewhere."""
    maxima, panel = values_of(request)["maxima"], panel_of(request)
    model, preset, device = received_model(site, request, panel)
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
