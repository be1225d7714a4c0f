"""All that is to say of a site's file before a run: its content, oddities and faults."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from common.data.counts import CountsVerdict, find_counts, judge_source
from common.data.depth import library_sizes
from common.data.genes import gene_kind, is_ensembl
from common.data.h5ad import H5ad
from common.data.labels import CURATED, PREDICTED, CellLabels, read_labels
from common.data.obs import batches, cell_names
from common.data.reader import gene_names
from common.data.spelling import require_one_spelling
from common.data.stream import stream_counts
from common.data.wording import quoted, what_and_fix
from common.errors import InputError

T = TypeVar("T")
Level = Literal["ok", "warning", "error"]

_TINY = 5


@dataclass(frozen=True)
class Finding:
    """One thing found: how bad, what, and what to do about it ("" where nothing)."""

    level: Level
    text: str
    fix: str = ""


@dataclass(frozen=True)
class CheckReport:
    """The findings about one file, in the order in which a run would meet them."""

    path: Path
    findings: tuple[Finding, ...]

    @property
    def level(self) -> Level:
        """The worst level found."""
        levels = {finding.level for finding in self.findings}
        return next((level for level in ("error", "warning") if level in levels), "ok")

    @property
    def ok(self) -> bool:
        """Whether a run can use the file: warnings allowed, no errors."""
        return self.level != "error"


def check_file(
    path: str | Path,
    *,
    batch_key: str = "batch",
    cell_type_key: str = "cell_type",
    layer: str = "auto",
    gene_column: str = "",
    label_origin: str = CURATED,
    label_origin_key: str = "",
    confidence_key: str = "",
    min_confidence: float = 0.0,
) -> CheckReport:
    """Look at the whole file once, and go on after an error wherever that is possible.

    Parameters are those of ``SiteFile.open``.
    """
    check = Findings()
    file = check.attempt(lambda: H5ad.open(path))
    if file is not None:
        n_cells = len(file.obs)
        check.say("ok", f"{n_cells:,} cells; matrices: {', '.join(file.sources) or 'none'}")
        check.attempt(lambda: cell_names(file.obs))
        if not n_cells:
            return CheckReport(Path(path).expanduser(), tuple(check.all))
        batch = check.attempt(lambda: batches(file.obs, batch_key, whole=file.path.stem))
        if batch is not None:
            check.say("ok", f"batches: {sizes(batch)}")
        labels = check.attempt(
            lambda: read_labels(
                file.obs,
                cell_type_key,
                label_origin=label_origin,
                label_origin_key=label_origin_key,
                confidence_key=confidence_key,
                min_confidence=min_confidence,
            )
        )
        if labels is not None:
            check.labels(batch, labels, cell_type_key)
            check.origins(labels, confidence_key, min_confidence)
        check.matrices(file, layer, batch, gene_column)
    return CheckReport(Path(path).expanduser(), tuple(check.all))


class Findings:
    """What is found about one file, as it is found."""

    def __init__(self) -> None:
        self.all: list[Finding] = []

    def say(self, level: Level, text: str, fix: str = "") -> None:
        """Enter a finding."""
        self.all.append(Finding(level, text, fix))

    def attempt(self, step: Callable[[], T]) -> T | None:
        """The step's result, or None and its error among the findings."""
        try:
            return step()
        except InputError as error:
            self.say("error", *what_and_fix(str(error)))
            return None

    def labels(self, batch: np.ndarray | None, labels: CellLabels, cell_type_key: str) -> None:
        """Which types there are, and which batches have few cells of them."""
        types, given = labels.stated, ~labels.unlabelled
        if not given.any():
            fix = (
                "set cell-type-key to a column with labels"
                if not cell_type_key
                else (f"fill obs[{cell_type_key!r}] in, or set cell-type-key to another column")
            )
            self.say("warning", "no cell has a cell type", fix)
            return
        self.say("ok", f"cell types: {sizes(types[given])}")
        self.attempt(lambda: require_one_spelling(types[given]))
        if len(set(types[given])) == 1:
            self.say("warning", "there is one cell type only", "nothing, if that is so by design")
        if not given.all():
            n = int((~given).sum())
            fix = "label them, or let them pass: they train the model, but no reference"
            self.say("warning", f"{n:,} of {len(types):,} cells have no cell type", fix)
        if batch is not None:
            steers = labels.steers
            pairs = Counter(zip(batch[steers].tolist(), types[steers], strict=True))
            tiny = [f"{b} / {t}: {n}" for (b, t), n in sorted(pairs.items()) if n < _TINY]
            if tiny:
                text = f"batches with fewer than {_TINY} cells of a type: {_first(tiny)}"
                fix = "merge such types, or let them pass: their mean is shrunken to the reference"
                self.say("warning", text, fix)

    def origins(self, labels: CellLabels, confidence_key: str, min_confidence: float) -> None:
        """Where the labels are from, and which steer."""
        predicted = labels.origin == PREDICTED
        n_predicted, n_unsure = int(predicted.sum()), int(labels.unsure.sum())
        if not n_predicted:
            return
        n_curated = int((labels.origin == CURATED).sum())
        text = f"{n_curated:,} labels are curated, {n_predicted:,} predicted"
        if not confidence_key:
            fix = "name an obs column with their confidence as confidence-key, if there is one"
            self.say("warning", f"{text}; all steer the correction", fix)
            return
        self.say("ok", f"{text}; of these {n_predicted - n_unsure:,} steer the correction")
        if n_unsure:
            n_silent = int((predicted & np.isnan(labels.confidence)).sum())
            text = (
                f"{n_unsure:,} predicted labels do not steer: {n_unsure - n_silent:,} are below "
                f"min-confidence = {min_confidence:g}, {n_silent:,} have no confidence"
            )
            fix = "let them pass: the run leaves their cells, or shifts them as their nearest ones"
            self.say("warning", text, fix)

    def matrices(self, file: H5ad, layer: str, batch: np.ndarray | None, gene_column: str) -> None:
        """Which matrix holds the counts, and whether all of it is usable."""
        used = self.attempt(lambda: find_counts(file, layer, batches=batch))
        for source in file.sources:
            if used is None or source != used.source:
                self._other(file, source, batch, used)
        if used is None:
            return
        self.say("ok", f"counts are read from {used.source}: {used.detail}")
        if used.kind == "fractional":
            text = f"the counts in {used.source} are fractional"
            fix = "make sure that they are expected counts; TPM or FPKM of some genes look alike"
            self.say("warning", text, fix)
        names = self.attempt(
            lambda: gene_names(file.var(used.source), gene_column, source=used.source)
        )
        if names is not None:
            self.genes(names)
        self.attempt(lambda: self._stream(file, used))

    def _other(
        self, file: H5ad, source: str, batch: np.ndarray | None, used: CountsVerdict | None
    ) -> None:
        try:
            other = judge_source(file, source, batches=batch)
        except InputError as error:
            if used is not None:
                what, fix = what_and_fix(str(error))
                # Whoever writes a layer called "counts" expects it to be read.
                meant = source == "layers/counts"
                self.say("warning" if meant else "ok", f"not used: {what}", fix if meant else "")
            return
        fix = ""
        if used is not None and used.kind == "fractional" and other.kind == "integer":
            fix = f"set layer to read {source} instead, if those are the raw counts"
        self.say("warning" if fix else "ok", f"not used: {other.detail}", fix)

    def genes(self, names: list[str]) -> None:
        """Say how genes are named."""
        kind = gene_kind(names)
        scheme = "Ensembl ids" if kind == "ensembl" else "symbols"
        self.say("ok", f"{len(names):,} genes named by {scheme}: {quoted(names)}")
        odd = [name for name in names if is_ensembl(name) != (kind == "ensembl")]
        if len(odd) > 0.1 * len(names):
            text = f"{len(odd):,} of {len(names):,} genes are named by the other scheme"
            self.say("warning", f"{text}: {quoted(odd)}", "set gene-column to one with one scheme")

    def _stream(self, file: H5ad, used: CountsVerdict) -> None:
        empty, total = [], 0.0
        cells = [str(name) for name in file.obs.index]
        for first, counts in stream_counts(
            file.matrix(used.source),
            used,
            cells=cells,
            genes=lambda: [str(name) for name in file.var(used.source).index],
            sizes=library_sizes(file.obs).get(used.library_key or ""),
        ):
            sums = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
            total += float(sums.sum())
            empty += [cells[first + row] for row in np.flatnonzero(sums == 0)]
        mean = total / len(cells)
        self.say("ok", f"all values are usable: {mean:,.0f} counts per cell on average")
        if empty:
            text = f"{len(empty):,} cell(s) have no counts at all: {quoted(empty)}"
            self.say("warning", text, "drop them, as with scanpy.pp.filter_cells(min_counts=1)")


def sizes(labels: np.ndarray) -> str:
    """Each label with how many there are of it."""
    counts = Counter(labels.tolist())
    return _first([f"{name} ({n:,})" for name, n in sorted(counts.items())], at_most=40)


def _first(items: list[str], at_most: int = 10) -> str:
    more = len(items) - at_most
    return ", ".join(items[:at_most]) + (f" and {more} more" if more > 0 else "")
