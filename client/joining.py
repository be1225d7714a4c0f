"""A later site corrects itself from a published bundle; no other site need be online.

It does what the phase ``correct`` does, with the bundle's references in the place of those of a
run. References of types that the bundle does not have cannot be made anew without the others.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from client.correction import correct_site
from client.later_site import Tell, later_site
from client.site import Site
from client.site_labels import labelled_types
from common.bundle import Bundle
from common.data.spelling import other_spellings, refuse_other_spellings
from common.errors import ConfigError


@dataclass(frozen=True)
class Joined:
    """What a later site has of a bundle.

    Parameters
    ----------
    site
        Its name.
    run
        The bundle's run.
    counts
        Cells, by the names of the fields of the phase ``correct`` in common/wire.py.
    n_genes, n_vocabulary
        Of the bundle.
    padded_genes, n_padded_vocabulary
        Of these, the model's genes that are not in the file, and how many of the vocabulary.
    unshifted
        Cells of each type that was not shifted.
    by_own_batches
        Types that are not in the bundle, shifted by the site's own batches.
    page_fault
        Why there is no page; "" if nothing went wrong.
    """

    site: str
    run: str
    counts: Mapping[str, int]
    n_genes: int
    n_vocabulary: int
    padded_genes: tuple[str, ...]
    n_padded_vocabulary: int
    unshifted: Mapping[str, int]
    by_own_batches: list[str]
    page_fault: str


def join(
    bundle_dir: Path,
    file: Path,
    out: Path,
    *,
    settings: dict[str, Any],
    reading: dict[str, Any],
    tell: Tell = lambda _: None,
) -> Joined:
    """Write ``corrected.h5ad`` and the site's page into ``out``.

    Parameters are those of :func:`client.later_site.later_site`.

    Raises
    ------
    ConfigError
        The output is residual, and the bundle has no reference of it.
    InputError
        The bundle or the file cannot be used, no cell has a label or a type has another spelling
        than in the bundle, or there is a result already.
    GeneError
        The file lacks too many of the bundle's genes.
    DiskError
        The folder cannot be written.
    DeviceError
        The device is absent or out of memory.
    """
    with later_site(
        bundle_dir, file, out, task="correct", settings=settings, reading=reading, tell=tell
    ) as later:
        site, bundle = later.site, later.bundle
        _require_remainders(site, bundle)
        types = labelled_types(site)
        refuse_other_spellings(other_spellings(types, bundle.references))
        new = [name for name in types if name not in bundle.references]
        model, preset, device = later.model()
        tell(f"preprocessing {site.file.n_cells:,} cells")
        site.matrix(bundle.panel)
        tell("correcting" + (", then drawing the cells" if site.node.report else ""))
        run = str(bundle.card["run"])
        done = correct_site(
            site,
            bundle.panel,
            model,
            preset,
            device,
            bundle.references,
            alone=new,
            unshifted=new,
            origin={
                "run": run,
                "version": _version(),
                "bundle": bundle.digest,
                "joined": True,
            },
        )
        counts = Counter(site.file.cell_types)
        return Joined(
            site=site.name,
            run=run,
            counts=done.counts,
            n_genes=len(bundle.panel.genes),
            n_vocabulary=len(bundle.panel.vocabulary),
            padded_genes=later.lacks.genes,
            n_padded_vocabulary=later.lacks.n_vocabulary,
            unshifted={name: counts[name] for name in new if name not in done.by_own_batches},
            by_own_batches=done.by_own_batches,
            page_fault=done.page_fault,
        )


def _require_remainders(site: Site, bundle: Bundle) -> None:
    references = bundle.references.values()
    if site.config.output != "decoded" and any(r.remainder is None for r in references):
        raise ConfigError(
            f"output = {site.config.output!r}: the bundle's run made 'decoded' alone, so that what "
            "the network does not encode has no reference; take --output decoded, or a bundle of a "
            "run with output = both"
        )


def _version() -> str:
    try:
        return version("syncytium")
    except PackageNotFoundError:
        return "unknown"
