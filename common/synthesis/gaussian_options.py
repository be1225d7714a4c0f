"""What may be set of the Gaussian generator: all public."""

import difflib
import math
from collections.abc import Sequence

import numpy as np
from pydantic import Field, model_validator

from common.errors import ConfigError
from common.synthesis.options import LEAST_PART, Options

MOST_NAMED = 5
STAGES = ("coarse", "center", "classes", "contrast", "scatter")


class GaussianOptions(Options):
    """Public settings; clipping too much or too little costs utility, never privacy.

    Parameters
    ----------
    coarse_share, center_share, classes_share, contrast_share, scatter_share
        Of mu^2; at most 1 together. With a contrast class means are seen once more along the few
        directions in which they differ, and records are drawn in pairs of opposites. Without a
        scatter genes are independent within a class.
    coarse_clip
        Radius of the first ball over the half width of the bounds times sqrt(n_genes).
    spread
        A gene's usual standard deviation over the width of the bounds.
    clip
        Radius of the later balls over the usual length of what is clipped.
    count_weight
        Of the numbers of each class in the first release, against the means.
    absolute_weight
        Of absolute deviations against deviations in the second.
    class_genes
        Names of the only genes whose means may differ by class: public knowledge, never looked up
        in the records. Empty: all.
    """

    coarse_share: float = Field(0.05, gt=0, lt=1)
    center_share: float = Field(0.1, gt=0, lt=1)
    classes_share: float = Field(0.55, gt=0, lt=1)
    contrast_share: float = Field(0.0, ge=0, lt=1)
    scatter_share: float = Field(0.3, ge=0, lt=1)
    coarse_clip: float = Field(0.3, ge=LEAST_PART, le=1)
    spread: float = Field(0.05, ge=LEAST_PART, le=1)
    clip: float = Field(0.6, ge=LEAST_PART, le=10)
    count_weight: float = Field(0.7, ge=LEAST_PART, le=10)
    absolute_weight: float = Field(0.5, ge=LEAST_PART, le=10)
    class_genes: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _shares_fit(self) -> "GaussianOptions":
        if math.fsum(self.shares.values()) > 1 + 1e-12:
            raise ValueError("the shares add up to more than 1")
        return self

    @property
    def shares(self) -> dict[str, float]:
        """Of mu^2 by stage, in their order."""
        return {stage: getattr(self, f"{stage}_share") for stage in STAGES}

    def places_in(self, genes: Sequence[str]) -> slice | np.ndarray:
        """Where the genes that tell classes apart are, in the order of ``genes``.

        Raises
        ------
        ConfigError
            One of them is not there: it names some such, and those most like them.
        """
        if not self.class_genes:
            return slice(None)
        known = set(genes)
        if missing := sorted(set(self.class_genes) - known):
            raise _unknown(missing, genes)
        return np.flatnonzero(np.isin(genes, self.class_genes))


def _unknown(missing: list[str], genes: Sequence[str]) -> ConfigError:
    said = []
    for name in missing[:MOST_NAMED]:
        near = difflib.get_close_matches(name, genes, n=3, cutoff=0.5)
        said.append(
            repr(name) + (f" (did you mean {' or '.join(map(repr, near))}?)" if near else "")
        )
    more = len(missing) - len(said)
    message = (
        f"option class-genes names what is none of the run's {len(genes)} genes: {', '.join(said)}"
        f"{f' and {more} more' if more else ''}. Correct the names or leave them out"
    )
    return ConfigError(message, public=message)
