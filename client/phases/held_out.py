"""held_out: what the final classifier answers for the site's test cells."""

from client.classifier import received_logits
from client.labelled_cells import labelled_cells
from client.outbox import Outbox
from client.site import Site
from common.classification.probabilities import softmax
from common.classification.site_sums import site_sums
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Count test cells, which trained nothing and chose nothing."""
    cells, values = labelled_cells(site, request.values["vocabulary"]), request.values
    logits = received_logits(site, request, cells.test, cells.n_classes)
    probabilities, truth = softmax(logits, values["temperature"]), cells.codes[cells.test]
    plain = site_sums(probabilities, truth)
    sure = site_sums(probabilities, truth, values["threshold"])
    outbox.masked("confusion", plain["confusion"].astype(float))
    outbox.masked("confusion_sure", sure["confusion"].astype(float))
    outbox.masked("calibration", plain["calibration"])
