"""temperature: loss of validation cells at each of some temperatures."""

from client.classifier import received_logits
from client.labelled_cells import labelled_cells
from client.outbox import Outbox
from client.site import Site
from common.classification.temperature import temperature_losses
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Sum over validation cells."""
    cells = labelled_cells(site, request.values["vocabulary"])
    logits = received_logits(site, request, cells.validation, cells.n_classes)
    outbox.masked("losses", temperature_losses(logits, cells.codes[cells.validation]))
