"""tree_sums: gradients of the cells in the nodes that grow, and validation loss before a round."""

import numpy as np

from client.boosting_cells import boosting_site
from client.labelled_cells import labelled_cells
from client.outbox import Outbox
from client.site import Site
from common.boosting.bins import BinEdges
from common.boosting.request import Request as TreeRequest
from common.classification.probabilities import exact, log_softmax
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Answer one level; the loss is that of the rounds that are finished."""
    cells = labelled_cells(site, request.values["vocabulary"])
    asked = TreeRequest.from_arrays(request.arrays("trees"))
    parts = request.arrays("edges")
    edges = BinEdges(parts["grid"], parts["kept"].astype(bool))
    expression = site.matrix(request.panel).sparse
    with boosting_site(site, request.panel, cells, edges, expression) as own:
        outbox.masked("sums", own.answer(asked))
    held_out = cells.classed(cells.validation) if request.values["validate"] else np.zeros(0, int)
    loss = 0.0
    if len(held_out):
        finished = asked.forest.rounds(0, asked.forest.n_rounds - 1)
        logs = log_softmax(finished.margins(expression[held_out]).T)
        loss = exact(-logs[np.arange(len(held_out)), cells.codes[held_out]]).sum()
    outbox.masked("n_validation", len(held_out))
    outbox.masked("validation_loss", loss)
