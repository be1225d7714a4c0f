"""What a site lacks of a model's genes: it counts as zeros, up to a share."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from common.data.genes import CASE, gene_kind, scheme
from common.errors import GeneError
from common.panel import Panel


@dataclass(frozen=True)
class Padding:
    """The genes of a panel that a site lacks.

    Parameters
    ----------
    genes
        Of the model, in its order.
    n_vocabulary
        How many of the vocabulary, these among them.
    share
        Of the model's genes or of the vocabulary, the larger of both.
    """

    genes: tuple[str, ...]
    n_vocabulary: int
    share: float


def padding(panel: Panel, own: Collection[str]) -> Padding:
    """What a site with the genes ``own`` lacks of a panel."""
    have = set(own)
    genes = tuple(gene for gene in panel.genes if gene not in have)
    n_vocabulary = sum(gene not in have for gene in panel.vocabulary)
    share = max(len(genes) / len(panel.genes), n_vocabulary / len(panel.vocabulary))
    return Padding(genes, n_vocabulary, share)


def allowed_padding(
    panel: Panel, genes_by_site: Mapping[str, Collection[str]], max_padded: float
) -> dict[str, Padding]:
    """What each site lacks of a bundle's panel.

    Raises
    ------
    GeneError
        A site lacks more than ``max_padded`` of it, or all.
    """
    found = {site: padding(panel, own) for site, own in genes_by_site.items()}
    worst = max(found, key=lambda site: found[site].share)
    lacks = found[worst]
    if lacks.share > max_padded or len(lacks.genes) == len(panel.genes):
        n_genes, n_vocabulary = len(panel.genes), len(panel.vocabulary)
        raise GeneError(
            f"site {worst!r} lacks {len(lacks.genes):,} of the {n_genes:,} genes of the bundle's "
            f"model and {lacks.n_vocabulary:,} of the {n_vocabulary:,} of its vocabulary "
            f"(max-padded = {max_padded:g}): it has {scheme(genes_by_site[worst])}, the bundle "
            f"{scheme(panel.vocabulary)}. {_mend(panel, genes_by_site[worst])}"
        )
    return found


def _mend(panel: Panel, own: Collection[str]) -> str:
    if gene_kind(own) != gene_kind(panel.vocabulary):
        return "Set gene-column to the var column with the bundle's scheme."
    lacking = set(panel.vocabulary) - set(own)
    folded = {gene.casefold() for gene in own}
    if 2 * sum(gene.casefold() in folded for gene in lacking) > len(lacking):
        return CASE
    return (
        "Give a file with all genes that were measured, or set gene-column to the var column with "
        "the bundle's names; what is lacking counts as zeros, up to max-padded."
    )
