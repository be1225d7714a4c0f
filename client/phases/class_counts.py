"""class_counts: training cells of each class, and how many cells validate and test."""

from client.labelled_cells import labelled_cells
from client.outbox import Outbox
from client.site import Site
from common.classification.codes import class_counts
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Count."""
    cells = labelled_cells(site, request.values["vocabulary"])
    counts = class_counts(cells.codes[cells.train], cells.n_classes)
    outbox.masked("n_train", counts.astype(float))
    outbox.masked("n_validation", len(cells.validation))
    outbox.masked("n_test", len(cells.test))
