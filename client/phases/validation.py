"""validation: what the final classifier answers for the site's validation cells, by class."""

from client.classifier import received_logits
from client.labelled_cells import labelled_cells
from client.outbox import Outbox
from client.site import Site
from common.classification.validation import validation_counts
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Count validation cells that have a class."""
    cells = labelled_cells(site, request.values["vocabulary"])
    held_out = cells.classed(cells.validation)
    logits = received_logits(site, request, held_out, cells.n_classes)
    for name, count in validation_counts(logits, cells.codes[held_out]).items():
        outbox.masked(name, count)
