"""marker_genes: sums of expression by class, for genes that tell the classes apart."""

from client.labelled_cells import labelled_cells
from client.outbox import Outbox
from client.site import Site
from common.classification.marker_genes import site_class_sums
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Sum over training cells."""
    cells = labelled_cells(site, request.values["vocabulary"])
    matrix = site.matrix(request.panel)
    sums = site_class_sums(matrix, cells.codes, cells.train, cells.n_classes)
    outbox.masked("sum_log", sums["sum_log"])
    outbox.masked("sum_log_squared", sums["sum_log_squared"])
