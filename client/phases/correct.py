"""correct: shift, decode and write the site's own cells."""

import numpy as np

from client.correction import correct_site
from client.model import received_model
from client.outbox import Outbox
from client.site import Site
from common.reference import unpacked
from strategies.records import Request


def run(site: Site, request: Request, outbox: Outbox) -> None:
    """Write ``corrected.h5ad`` in the site's output folder, whole or not at all."""
    values = request.values
    references = unpacked(values["referenced"], request.arrays("references"))
    done = correct_site(
        site,
        request.panel,
        *received_model(site, request),
        references,
        alone=values["alone"],
        unshifted=values["unshifted"],
        origin={
            **{key: str(values[key]) for key in ("run", "version", "bundle")},
            "joined": False,
        },
    )
    if done.page_fault:
        # Of the site's own file: not for a log that is collected.
        outbox.local(report=done.page_fault)
    for name, n_cells in done.counts.items():
        outbox.masked(name, np.float64(n_cells))
    # The evaluation reads the preprocessed matrix once more.
    if site.simulated and not site.config.evaluate:
        site.drop_cache()
