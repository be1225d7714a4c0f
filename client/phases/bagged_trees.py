"""bagged_trees: a round of trees that the site grows by itself, and validation before it."""

import numpy as np

from client.boosting_cells import boosting_site
from client.labelled_cells import labelled_cells
from client.outbox import Outbox
from client.site import Site
from client.validated_trees import validate
from common.boosting.bagging import site_trees
from common.boosting.bins import BinEdges
from common.boosting.forest_state import forest_of
from common.boosting.tree_words import words_of_trees
from common.classification.plan import classifier_plan
from common.classification.tree_plan import boosting_of, weights_of
from common.errors import PolicyError
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Grow after the common forest, which is validated."""
    if site.config.forest != "bagging":
        raise PolicyError(
            f"forest = {site.config.forest}: the run's settings ask for no trees of single sites"
        )
    values, parts = request.values, request.arrays("edges")
    plan, forest = classifier_plan(site.config), forest_of(request.arrays("forest"))
    cells = labelled_cells(site, values["vocabulary"])
    edges = BinEdges(parts["grid"], parts["kept"].astype(bool))
    expression = site.matrix(request.panel).sparse
    boosting = boosting_of(plan, 1, site.config.seed)
    with boosting_site(site, request.panel, cells, edges, expression) as own:
        grown = site_trees(own, forest, boosting, weights_of(plan, np.array(values["counts"])))
    outbox.masked("trees", words_of_trees(grown))
    held_out = cells.classed(cells.validation)
    validate(outbox, forest, expression[held_out], cells.codes[held_out])
