"""labels: which of the study's labels the site has cells of."""

import numpy as np

from client.outbox import Outbox
from client.site import Site
from common.classification.vocabulary import presence
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Enter 1 for each group of labels of which a cell is here."""
    groups = request.values["groups"]
    held = [presence(site.file.classes, group).any() for group in groups]
    outbox.masked("n_holders", np.array(held, dtype=float))
