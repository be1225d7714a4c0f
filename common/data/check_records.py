"""What is to say of a site's file before a run of `synthesize`: its records and their values."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.data.check import CheckReport, Findings, sizes
from common.data.counts import CountsVerdict, as_values, find_counts
from common.data.depth import library_sizes
from common.data.h5ad import H5ad
from common.data.labels import CURATED, read_labels
from common.data.obs import cell_names, labelled
from common.data.reader import gene_names
from common.data.spelling import require_one_spelling
from common.data.stream import stream_counts
from common.data.units import donors_of, with_covariates

# Of the values, above which the public bounds do not fit.
MANY_CLIPPED = 0.01
LARGEST_LOG = 50.0  # log2 of a count is below 40


def check_records(
    path: str | Path,
    *,
    counted: bool = False,
    bounds: tuple[float, float] = (0.0, 20.0),
    listed: Sequence[str] = (),
    cell_type_key: str = "cell_type",
    layer: str = "auto",
    gene_column: str = "",
    label_origin: str = CURATED,
    label_origin_key: str = "",
    confidence_key: str = "",
    min_confidence: float = 0.0,
    donor_key: str = "",
    covariate_keys: str = "",
) -> CheckReport:
    """Look at the whole file once, and go on after an error wherever that is possible.

    Parameters
    ----------
    counted
        Values are raw counts; else they are taken as they are.
    bounds
        The run's public bounds of a value.
    listed
        Its public classes; () = whatever the sites have.

    The others are those of ``SiteFile.open``.
    """
    found = Findings()
    file = found.attempt(lambda: H5ad.open(path))
    if file is None or not len(file.obs):
        if file is not None:
            found.attempt(lambda: cell_names(file.obs))
        return CheckReport(Path(path).expanduser(), tuple(found.all))
    found.say("ok", f"{len(file.obs):,} records; matrices: {', '.join(file.sources) or 'none'}")
    found.attempt(lambda: cell_names(file.obs))
    classes = found.attempt(
        lambda: with_covariates(
            read_labels(
                file.obs,
                cell_type_key,
                label_origin=label_origin,
                label_origin_key=label_origin_key,
                confidence_key=confidence_key,
                min_confidence=min_confidence,
            ).steering,
            file.obs,
            covariate_keys,
        )
    )
    if classes is not None:
        _classes(found, classes, listed, cell_type_key)
    if donor_key:
        donors = found.attempt(lambda: donors_of(file.obs, donor_key))
        if donors is not None:
            most = max(Counter(donors.tolist()).values())
            found.say("ok", f"{len(set(donors)):,} donors, of one at most {most:,} records")
    used = found.attempt(lambda: find_counts(file, layer) if counted else as_values(file, layer))
    if used is not None:
        found.say("ok", f"values are read from {used.source}: {used.detail}")
        names = found.attempt(
            lambda: gene_names(file.var(used.source), gene_column, source=used.source)
        )
        if names is not None:
            found.genes(names)
        found.attempt(lambda: _values(found, file, used, bounds))
    return CheckReport(Path(path).expanduser(), tuple(found.all))


def _classes(found: Findings, classes: np.ndarray, listed: Sequence[str], key: str) -> None:
    given = labelled(classes)
    if not given.any():
        fix = f"fill obs[{key!r}] in, or set cell-type-key to another column"
        found.say("error", "no record has a label", fix)
        return
    found.say("ok", f"classes: {sizes(classes[given])}")
    found.attempt(lambda: require_one_spelling(classes[given]))
    if not given.all():
        text = f"{int((~given).sum()):,} of {len(given):,} records have no label"
        found.say("warning", text, "label them, or let them pass: the run leaves them out")
    if not listed:
        return
    others = sorted(set(classes[given]) - set(listed))
    if len(others) == len(set(classes[given])):
        fix = "spell them as in the file, or set cell-type-key to the column that has them"
        found.say("error", f"no record has a class of the list {', '.join(listed)}", fix)
    elif others:
        left = classes[given][np.isin(classes[given].astype(str), others)]
        text = f"{len(left):,} records are of classes that are not listed: {sizes(left)}"
        found.say("warning", text, "add these to classes, or let them pass: they are left out")


def _values(found: Findings, file: H5ad, used: CountsVerdict, bounds: tuple[float, float]) -> None:
    least, most = bounds
    low, high, n, outside = np.inf, -np.inf, 0, 0
    cells = [str(name) for name in file.obs.index]
    of_cells = library_sizes(file.obs).get(used.library_key or "")
    for _, block in stream_counts(
        file.matrix(used.source),
        used,
        cells=cells,
        genes=lambda: [str(name) for name in file.var(used.source).index],
        sizes=of_cells,
    ):
        values = block.data
        n_zeros = block.shape[0] * block.shape[1] - len(values)
        n += len(values) + n_zeros
        ends = [*([values.min(), values.max()] if len(values) else []), *([0.0] if n_zeros else [])]
        low, high = min(low, *ends), max(high, *ends)
        outside += int(((values < least) | (values > most)).sum())
        outside += n_zeros if not least <= 0 <= most else 0
    found.say("ok", f"all values are usable: {low:.4g} to {high:.4g}")
    if outside:
        few = outside <= MANY_CLIPPED * n
        text = f"{outside:,} of {n:,} values are outside {least:g} to {most:g}: they are clipped"
        fix = "agree with all sites on one unit of the values, and on bounds that fit it"
        found.say("ok" if few else "warning", text, "" if few else fix)
    if used.kind == "values" and high > LARGEST_LOG:
        text = f"values up to {high:.4g} are no logarithms"
        fix = "put log values (VST, log2 TPM) into X, or have the run set expression = counts"
        found.say("warning", text, fix)
