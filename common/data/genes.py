"""Gene names: Ensembl versions, the naming scheme, and the vocabulary that sites agree on."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from common.errors import ConfigError, GeneError
from common.registry import did_you_mean

# Also a GENCODE lift-over's suffix ("ENSG00000228794.8_3"); PAR_Y names another gene, so stays.
_VERSIONED = re.compile(r"(ENS[A-Z]{0,6}G\d{11})\.\d+(?:_\d+)?(_PAR_Y)?")
_ENSEMBL = re.compile(r"ENS[A-Z]{0,6}G\d{11}(?:\.\d+(?:_\d+)?)?(?:_PAR_Y)?")

GeneKind = Literal["ensembl", "symbol"]
CASE = "The names differ only in upper and lower case: are they of different species?"


def strip_version(name: str) -> str:
    """An Ensembl gene id without its version; any other name unchanged."""
    match = _VERSIONED.fullmatch(name)
    return match[1] + (match[2] or "") if match else name


def is_ensembl(name: str) -> bool:
    """Whether a name is an Ensembl gene id, of any species, versioned or not."""
    return _ENSEMBL.fullmatch(name) is not None


def gene_kind(names: Iterable[str]) -> GeneKind:
    """The naming scheme of most of the names; a symbol list with stray Ensembl ids is "symbol"."""
    ensembl = [is_ensembl(name) for name in names]
    return "ensembl" if 2 * sum(ensembl) > len(ensembl) else "symbol"


@dataclass(frozen=True)
class Vocabulary:
    """The genes that all sites use, in one order.

    Parameters
    ----------
    genes
        Gene names, sorted, so that the order of the sites does not matter.
    padded
        Per site, the share of ``genes`` that it lacks and fills with zeros.
    """

    genes: tuple[str, ...]
    padded: Mapping[str, float]


def agree(
    genes_by_site: Mapping[str, Sequence[str]],
    *,
    join: str = "intersection",
    max_padded: float = 0.3,
    min_holders: int = 1,
) -> Vocabulary:
    """The vocabulary of a study.

    Parameters
    ----------
    genes_by_site
        Per site, its gene names without versions, each once.
    join
        ``"intersection"``: genes that every site has; ``"union"``: genes that some have.
    max_padded
        Under ``"union"``, the largest share of the vocabulary that a site may lack.
    min_holders
        Under ``"union"``, sites that must have a gene: a sum over one of them would be its own.

    Raises
    ------
    ConfigError
        ``join`` is unknown.
    GeneError
        No gene is shared, sites name genes by different schemes, or a site lacks too many.
    """
    if join not in ("intersection", "union"):
        raise ConfigError(
            f"unknown gene-join {join!r}: {did_you_mean(join, ('intersection', 'union'))}"
        )
    if not genes_by_site:
        raise GeneError("no site named its genes: connect at least one site.")
    sites = {name: set(genes_by_site[name]) for name in sorted(genes_by_site)}
    _require_shared(sites, join)
    if join == "intersection":
        shared = set.intersection(*sites.values())
        return Vocabulary(tuple(sorted(shared)), dict.fromkeys(sites, 0.0))
    holders = Counter(gene for own in sites.values() for gene in own)
    genes = {gene for gene, n in holders.items() if n >= min(min_holders, len(sites))}
    padded = {site: 1 - len(own & genes) / len(genes) for site, own in sites.items()}
    worst = max(padded, key=padded.__getitem__)
    if padded[worst] > max_padded:
        raise GeneError(
            f"site {worst!r} lacks {padded[worst]:.0%} of the {len(genes):,} genes of the union "
            f"(max-padded = {max_padded:g}): set gene-join = 'intersection', raise max-padded, or "
            "leave that site out."
        )
    return Vocabulary(tuple(sorted(genes)), padded)


def columns_of(vocabulary_genes: Sequence[str], site_genes: Sequence[str]) -> np.ndarray:
    """The column of each vocabulary gene in a site's matrix, int64, -1 where the site lacks it."""
    at = {gene: column for column, gene in enumerate(site_genes)}
    return np.fromiter(
        (at.get(gene, -1) for gene in vocabulary_genes), np.int64, len(vocabulary_genes)
    )


def _require_shared(sites: dict[str, set[str]], join: str) -> None:
    times = Counter(gene for own in sites.values() for gene in own)
    needed = len(sites) if join == "intersection" else min(2, len(sites))
    shared = {gene for gene, n in times.items() if n >= needed}
    lone = [site for site, own in sites.items() if not own & shared]
    mixed = len({gene_kind(own) for own in sites.values()}) > 1
    # A symbol list holds a few Ensembl ids for genes without a symbol: their overlap means nothing.
    few = len(shared) < min(len(own) for own in sites.values()) / 2
    if not lone and not (mixed and few):
        return
    schemes = "; ".join(f"site {site!r} has {scheme(sites[site])}" for site in sites)
    what = f"only {len(shared):,} genes are" if shared and not lone else "no gene is"
    raise GeneError(f"{what} shared by the sites: {schemes}. {_mend(sites, mixed)}")


def _mend(sites: dict[str, set[str]], mixed: bool) -> str:
    if mixed:
        return "Set gene-column at some of them to the var column with the others' scheme."
    folded = [{gene.casefold() for gene in own} for own in sites.values()]
    if set.intersection(*folded):
        return CASE
    return "Set gene-column to a var column that all of them have, or leave out the odd site."


def scheme(own: Collection[str]) -> str:
    """How some genes are named, with an example."""
    if not own:
        return "no genes"
    kind = gene_kind(own)
    examples = sorted(gene for gene in own if is_ensembl(gene) == (kind == "ensembl"))
    return f"{'Ensembl ids' if kind == 'ensembl' else 'symbols'} such as {examples[0]!r}"
