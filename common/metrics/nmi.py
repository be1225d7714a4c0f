"""Normalised mutual information between Leiden clusters and cell types."""

from common.metrics.agreement import agreement_by_resolution
from common.metrics.embedded import Embedded
from common.metrics.leiden import DEFAULT_RESOLUTION
from common.metrics.registry import register_metric


def _by_resolution(embedded: Embedded) -> dict[float, float]:
    from sklearn.metrics import normalized_mutual_info_score

    def compare(types, clusters):
        return normalized_mutual_info_score(types, clusters, average_method="arithmetic")

    return agreement_by_resolution(embedded, compare)


@register_metric("nmi", title="Clusters match types (NMI)", better="higher", group="types")
def nmi(embedded: Embedded) -> float:
    """Mutual information at resolution 1.0 over the arithmetic mean of both entropies, 0 to 1.

    References
    ----------
    Vinh, Epps, Bailey 2010, https://jmlr.org/papers/v11/vinh10a.html (NMI_sum).
    """
    return _by_resolution(embedded)[DEFAULT_RESOLUTION]


@register_metric(
    "nmi_best", title="Clusters match types (NMI), best", better="higher", group="types"
)
def nmi_best(embedded: Embedded) -> float:
    """The highest :func:`nmi` over 20 resolutions: an upper bound, as the types choose it."""
    return max(_by_resolution(embedded).values())
