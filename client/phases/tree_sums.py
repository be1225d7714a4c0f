"""tree_sums: gradients of the cells in the nodes that grow, and validation before a round."""

import numpy as np

from client.boosting_cells import boosting_site
from client.labelled_cells import labelled_cells
from client.outbox import Outbox
from client.site import Site
from client.validated_trees import validate
from common.boosting.bins import BinEdges
from common.boosting.request import Request as TreeRequest
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Answer one level; validated are the rounds that are finished."""
    cells = labelled_cells(site, request.values["vocabulary"])
    asked = TreeRequest.from_arrays(request.arrays("trees"))
    parts = request.arrays("edges")
    edges = BinEdges(parts["grid"], parts["kept"].astype(bool))
    expression = site.matrix(request.panel).sparse
    with boosting_site(site, request.panel, cells, edges, expression) as own:
        outbox.masked("sums", own.answer(asked))
    held_out = cells.classed(cells.validation) if request.values["validate"] else np.zeros(0, int)
    finished = asked.forest.rounds(0, max(asked.forest.n_rounds - 1, 0))
    validate(outbox, finished, expression[held_out], cells.codes[held_out])
