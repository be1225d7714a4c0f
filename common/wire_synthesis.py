"""Every field of `synthesize` alone that may leave a site: a part of common/wire.py's table."""

from common.wire_fields import Masked, Phase

# Of one site. Whole numbers are exact in float64, and a sum as long as it is below 2^53 itself.
MAX_NOISED = 2.0**52

SYNTHESIS = {
    "noised_sums": Phase(
        "one release of the generator's statistics, a round each",
        {
            "noised": Masked(
                "whole numbers: its units' clipped statistics, plus its share of the noise",
                "values",
                MAX_NOISED,
                integer=True,
            ),
        },
        train=True,
        times=0,
        noised=True,
    ),
}
