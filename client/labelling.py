"""A site labels its cells with a published classifier; no other site need be online."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from client.classifier import device_of
from client.labelled_file import write_labelled
from client.later_site import LaterSite, Tell, later_site
from common.classification.answered import COLUMNS, Answered
from common.classification.own_labels import compare, own_codes
from common.classification.published import TASK, PublishedClassifier
from common.data.wording import quoted
from common.errors import ConfigError, InputError
from report.label_page import LABELLED
from report.run_page import own_version
from report.site_page import try_site_page

# How the file was read, for the page and for who reads it again.
READ = ("batch_key", "cell_type_key", "layer", "gene_column")


@dataclass(frozen=True)
class Labelled:
    """What a classifier said of a site's cells.

    Parameters
    ----------
    site
        Its name.
    run, classifier
        The bundle's.
    n_cells
        Of the file.
    counts
        Cells by answer, ``unknown`` among them.
    threshold
        Confidence below which a cell is unknown.
    n_genes, n_vocabulary
        Of the bundle.
    left_out
        Labels of the run that are no class: the classifier was not taught them.
    padded_genes, n_padded_vocabulary
        Of these, the classifier's genes that are not in the file, and how many of the vocabulary.
    n_compared, accuracy, macro_f1
        Cells whose own label the classifier knows, and how it does on them; None without any.
    page_fault
        Why there is no page; "" if nothing went wrong.
    """

    site: str
    run: str
    classifier: str
    n_cells: int
    counts: Mapping[str, int]
    threshold: float
    left_out: tuple[str, ...]
    n_genes: int
    n_vocabulary: int
    padded_genes: tuple[str, ...]
    n_padded_vocabulary: int
    n_compared: int
    accuracy: float | None
    macro_f1: float | None
    page_fault: str


def label(
    bundle_dir: Path,
    file: Path,
    out: Path,
    *,
    settings: dict[str, Any],
    reading: dict[str, Any],
    min_confidence: float | None = None,
    tell: Tell = lambda _: None,
) -> Labelled:
    """Write ``labelled.h5ad`` and the site's page into ``out``.

    Parameters are those of :func:`client.later_site.later_site`, and

    Parameters
    ----------
    min_confidence
        Confidence below which a cell is unknown, 0 to 1; None takes the bundle's.

    Raises
    ------
    ConfigError
        ``min_confidence`` is no share, or the column of own labels is one that is written.
    InputError
        The bundle or the file cannot be used, an own label is another spelling of a class, or
        there is a result already.
    GeneError
        The file lacks too many of the bundle's genes.
    DiskError
        The folder cannot be written.
    DeviceError
        The device is absent or out of memory.
    """
    if min_confidence is not None and not 0 <= min_confidence <= 1:
        raise ConfigError(
            f"min-confidence = {min_confidence:g} is no share: give 0 to 1, as 0.5, or leave it "
            "out for the bundle's"
        )
    _require_other_column(reading)
    opened = later_site(
        bundle_dir,
        file,
        out,
        task=TASK,
        settings=settings,
        reading=reading,
        tell=tell,
        needs_types=False,
    )
    with opened as later:
        site, bundle = later.site, later.bundle
        published = PublishedClassifier.of(bundle, bundle_dir)
        truth = _own_codes(later, published)
        device = device_of(site)
        tell(f"preprocessing {site.file.n_cells:,} cells")
        matrix = site.matrix(bundle.panel)
        tell("labelling" + (", then drawing the cells" if site.node.report else ""))
        answered = Answered(
            published.vocabulary.classes,
            published.trained.probabilities(matrix, np.arange(site.file.n_cells), device),
            published.threshold if min_confidence is None else min_confidence,
            published.terms,
        )
        plan, run = published.trained.plan, str(bundle.card["run"])
        about = {
            "run": run,
            "version": own_version(),
            "bundle": bundle.digest,
            "classifier": plan.name,
            "form": plan.form,
            "temperature": published.trained.temperature,
            "bundle_threshold": published.threshold,
            "merged_labels": list(published.vocabulary.merged),
            "left_out_labels": list(published.vocabulary.left_out),
            "padded_genes": list(later.lacks.genes),
            **{name: site.keys[name] for name in READ},
        }
        write_labelled(site.file.path, site.output_dir / LABELLED, answered, bundle.panel, about)
        fault = try_site_page(site.output_dir, "report.label_page") if site.node.report else ""
        compared = compare(
            truth,
            answered.codes,
            answered.most_probable,
            answered.confidence,
            len(answered.classes),
        )
        figures = compared.figures if compared else None
        return Labelled(
            site=site.name,
            run=run,
            classifier=plan.name,
            n_cells=site.file.n_cells,
            counts=answered.counts(),
            threshold=answered.threshold,
            left_out=published.vocabulary.left_out,
            n_genes=len(bundle.panel.genes),
            n_vocabulary=len(bundle.panel.vocabulary),
            padded_genes=later.lacks.genes,
            n_padded_vocabulary=later.lacks.n_vocabulary,
            n_compared=figures.n_cells if figures else 0,
            accuracy=figures.accuracy if figures else None,
            macro_f1=figures.macro_f1 if figures else None,
            page_fault=fault,
        )


def _require_other_column(reading: Mapping[str, Any]) -> None:
    key = reading.get("cell-type-key")
    if key in COLUMNS:
        raise ConfigError(
            f"cell-type-key = {key!r}: this column is written anew; name the one with the site's "
            f"own labels, or leave it out (columns that are written: {quoted(COLUMNS, at_most=9)})"
        )


def _own_codes(later: LaterSite, published: PublishedClassifier) -> np.ndarray:
    """Classes of the cells by the site's own labels, checked before anything is computed."""
    try:
        return own_codes(published.vocabulary, later.site.file.labels.stated)
    except InputError as error:
        raise InputError(
            f"{str(error).removesuffix('.')}; or set cell-type-key to '' and they are not compared"
        ) from None
