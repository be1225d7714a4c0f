"""The names of the labels that a site has, or an error that says what they are needed for."""

import numpy as np

from client.site import Site
from common.errors import InputError


def labelled_types(site: Site) -> list[str]:
    """The cell types of a site, with covariates where classes are made of these, sorted.

    Raises
    ------
    InputError
        No cell has a label.
    """
    types = labels(site.file.classes)
    if not types:
        needs = {
            "correct": "correction needs cell types",
            "synthesize": "only records with a label, and covariates if any, are learned from",
        }.get(
            site.config.task,
            f"task = {site.config.task} trains on labels: leave the site out, and let it label its "
            "cells by the finished run's bundle",
        )
        key = site.keys["cell_type_key"]
        raise InputError(
            f"{site.file.path}: no cell has a label in obs[{key!r}]; {needs}",
            public=f"no cell of the site has a label; {needs}",
        )
    return types


def labels(types: np.ndarray) -> list[str]:
    """The names among cell types, sorted, without the unlabelled."""
    return sorted({cell_type for cell_type in types if cell_type is not None})
