"""Adjusted Rand index between Leiden clusters and cell types."""

from common.metrics.agreement import agreement_by_resolution
from common.metrics.embedded import Embedded
from common.metrics.leiden import DEFAULT_RESOLUTION
from common.metrics.registry import register_metric


def _by_resolution(embedded: Embedded) -> dict[float, float]:
    from sklearn.metrics import adjusted_rand_score

    return agreement_by_resolution(embedded, adjusted_rand_score)


@register_metric("ari", title="Clusters match types (ARI)", better="higher", group="types")
def ari(embedded: Embedded) -> float:
    """Adjusted Rand index at resolution 1.0; 1 is perfect, 0 is chance, below 0 is worse.

    It punishes types that fall into several clusters, which one fixed resolution often makes.

    References
    ----------
    Hubert & Arabie 1985, doi:10.1007/BF01908075.
    """
    return _by_resolution(embedded)[DEFAULT_RESOLUTION]


@register_metric(
    "ari_best", title="Clusters match types (ARI), best", better="higher", group="types"
)
def ari_best(embedded: Embedded) -> float:
    """The highest :func:`ari` over 20 resolutions: an upper bound, as the types choose it."""
    return max(_by_resolution(embedded).values())
