"""confidences: validation cells by confidence, right and wrong answers apart."""

from client.classifier import received_logits
from client.labelled_cells import labelled_cells
from client.outbox import Outbox
from client.site import Site
from common.classification.probabilities import softmax
from common.classification.threshold import confidence_histogram
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Count validation cells."""
    cells = labelled_cells(site, request.values["vocabulary"])
    logits = received_logits(site, request, cells.validation, cells.n_classes)
    probabilities = softmax(logits, request.values["temperature"])
    counts = confidence_histogram(probabilities, cells.codes[cells.validation])
    outbox.masked("n_cells", counts.astype(float))
