"""What may be set of the Gaussian generator: all public."""

import math

from pydantic import Field, model_validator

from common.synthesis.options import Options

STAGES = ("coarse", "center", "classes", "scatter")


class GaussianOptions(Options):
    """Public settings; clipping too much or too little costs utility, never privacy.

    Parameters
    ----------
    coarse_share, center_share, classes_share, scatter_share
        Of mu^2; at most 1 together. Without a scatter genes are independent within a class.
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
    """

    coarse_share: float = Field(0.05, gt=0, lt=1)
    center_share: float = Field(0.1, gt=0, lt=1)
    classes_share: float = Field(0.55, gt=0, lt=1)
    scatter_share: float = Field(0.3, ge=0, lt=1)
    coarse_clip: float = Field(0.3, gt=0, le=1)
    spread: float = Field(0.05, gt=0, le=1)
    clip: float = Field(0.6, gt=0, le=10)
    count_weight: float = Field(0.7, gt=0, le=10)
    absolute_weight: float = Field(0.5, gt=0, le=10)

    @model_validator(mode="after")
    def _shares_fit(self) -> "GaussianOptions":
        if math.fsum(self.shares.values()) > 1 + 1e-12:
            raise ValueError("the shares add up to more than 1")
        return self

    @property
    def shares(self) -> dict[str, float]:
        """Of mu^2 by stage, in their order."""
        return {stage: getattr(self, f"{stage}_share") for stage in STAGES}
