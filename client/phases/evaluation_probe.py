"""evaluation_probe: what the probe, fitted to all sites' sums, leaves unexplained."""

import numpy as np

from client.kept_cells import KeptCells
from client.outbox import Outbox
from client.site import Site
from common.federated_evaluation.centres import received_centres
from common.federated_evaluation.groups import scored_groups
from common.federated_evaluation.probe import probe_sums
from common.federated_evaluation.views import views_of
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Send two numbers for each type and view; what was kept for the evaluation goes."""
    values = request.values
    kept = KeptCells(site, str(values["run"]))
    groups = scored_groups(site.file.batches, site.file.cell_types, values["types"])
    views = views_of(site.config.output, values["latent_dim"])
    centres = received_centres(request.arrays("centres"), views)
    whiteners = request.arrays("whiteners")
    sums = np.zeros((2, len(groups), len(views)))
    for column, view in enumerate(views):
        cells = kept.read(view.name)
        for number, rows in enumerate(groups):
            standard = centres[view].standard(cells, number)
            sums[:, number, column] = probe_sums(standard, rows, whiteners[view.name])
    outbox.masked("probe_within", sums[0])
    outbox.masked("probe_chance", sums[1])
    kept.drop()
