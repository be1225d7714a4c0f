"""Public settings of marginals."""

from typing import Literal

from pydantic import Field

from common.synthesis.options import LEAST_PART, OptionalScale, Options


class MarginalOptions(Options):
    """Radii are per gene, on the scale of :mod:`common.synthesis.scale`; 0 of one: see each.

    Parameters
    ----------
    marginal
        Of counts: negative binomial, zero-inflated or not.
    clip
        Radius of the ball around the center; 0: found by the release ``norms``, of donors
        ``usual``.
    usual
        Radius where noise hides the norms, and standard deviation of a donor's cells; 0: 1 of log
        values, 0.3 of counts.
    coarse_clip
        Radius of the coarse ball, of the half width of the bounds.
    """

    marginal: Literal["nb", "zinb"] = "nb"
    clip: OptionalScale = 0.0
    usual: OptionalScale = 0.0
    coarse_clip: float = Field(0.3, ge=LEAST_PART, le=100)
