"""bin_counts: training cells in each bin of each gene's expression."""

from client.labelled_cells import labelled_cells
from client.outbox import Outbox
from client.site import Site
from common.boosting.bins import public_grid, site_bin_counts
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Count, over public bins."""
    cells = labelled_cells(site, request.values["vocabulary"])
    expression = site.matrix(request.panel).sparse[cells.train]
    counts = site_bin_counts(expression, public_grid())
    outbox.masked("n_cells", counts.astype(float))
