"""linear_gradient: loss, gradient and validation of a linear classifier at a point."""

from dataclasses import replace

import numpy as np

from client.labelled_cells import labelled_cells
from client.outbox import Outbox
from client.site import Site
from common.classification.linear_loss import linear_loss
from common.classification.linear_optimum import linear_logits, site_sums
from common.classification.plan import classifier_plan
from common.classification.validation import validation_counts
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Sum over training cells, and over validation cells where the run asks for it."""
    cells, values = labelled_cells(site, request.values["vocabulary"]), request.values
    matrix = site.matrix(request.panel)
    loss = linear_loss(classifier_plan(site.config), matrix.shape[1], np.array(values["counts"]))
    loss = replace(loss, corner=values["corner"])
    point = request.arrays("point")["parameters"]
    sums = site_sums(loss, matrix, cells.codes, cells.train, point)
    outbox.masked("n_train", len(cells.train))
    outbox.masked("loss", sums[0])
    outbox.masked("gradient", sums[1:])
    held_out = cells.classed(cells.validation if values["validate"] else cells.validation[:0])
    logits = linear_logits(loss, matrix, held_out, point)
    for name, count in validation_counts(logits, cells.codes[held_out]).items():
        outbox.masked(name, count)
