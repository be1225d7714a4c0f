"""A site's records as whole units, a block at a time, for the statistics of a generator."""

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

from client.site import Site
from common.errors import ConfigError, GeneError, InputError
from common.synthesis.contributions import MOST_UNITS, evenly_spaced
from common.synthesis.generator import Generator, Stage, State
from common.synthesis.records import Records
from common.synthesis.schema import Schema

BLOCK = 4096  # records, or those of the largest donor that count


class SiteUnits:
    """The records of a site that have a class of the schema.

    Parameters
    ----------
    site
        Whose.
    schema
        Genes, classes, bounds and unit.

    Raises
    ------
    GeneError
        A gene is not at the site.
    InputError
        There are more units than a sum holds.
    ConfigError
        A gene or class is named twice, or by no name; or nobody says whose the records are.
    """

    def __init__(self, site: Site, schema: Schema):
        self.site, self.schema = site, schema
        file = site.file
        for what, names in (("gene", schema.genes), ("class", schema.classes)):
            texts = {name for name in names if isinstance(name, str)}
            if len(texts) < len(names):
                message = f"a {what} is named twice, or by no name, among {len(names)}"
                raise ConfigError(message, public=message)
        lacking = sorted(set(schema.genes) - set(file.genes))
        if lacking:
            raise GeneError(
                f"{file.path}: {len(lacking)} of {schema.n_genes} genes asked for are not here, "
                f"such as {lacking[0]!r}",
                public=f"the site lacks {len(lacking)} of the genes asked for",
            )
        codes = {name: code for code, name in enumerate(schema.classes)}
        self.codes = np.array([codes.get(name, -1) for name in file.classes], dtype=np.int64)
        self.rows = np.flatnonzero(self.codes >= 0)
        self.n_left_out = file.n_cells - len(self.rows)
        self.n_clipped = 0
        self._units = np.arange(len(self.rows))
        if schema.unit == "donor":
            # Asked again here: a coordinator may leave out the phase that asks first.
            require_donors(site)
            donors = file.donors[self.rows]
            self._units = np.unique(donors, return_inverse=True)[1].astype(np.int64)
        require_few(self.n_units)
        # What a generator would not look at is not read: a donor may have a million cells.
        classes, most = self.codes[self.rows], schema.most_records
        order, kept, _ = evenly_spaced(self._units, classes, most)
        self._counted = np.sort(order[kept])

    @property
    def n_units(self) -> int:
        """How many units."""
        return int(self._units.max()) + 1 if len(self._units) else 0

    def blocks(self) -> Iterator[Records]:
        """All units, each once and with all records that count, clipped to the bounds.

        Values that were outside are counted.
        """
        matrix = self.site.counts(self.schema.genes)
        low, high = self.schema.low, self.schema.high
        self.n_clipped = 0
        for chosen in self._chosen():
            values = _dense(matrix, self.rows[chosen])
            self.n_clipped += int(((values < low) | (values > high)).sum())
            _, units = np.unique(self._units[chosen], return_inverse=True)
            yield Records(
                np.clip(values, low, high),
                self.codes[self.rows[chosen]],
                units.astype(np.int64),
            )

    def _chosen(self) -> Iterator[np.ndarray]:
        """Indices into ``rows`` of each block, ascending: its units' records, and no others."""
        order = self._counted[np.argsort(self._units[self._counted], kind="stable")]
        ends = np.append(np.flatnonzero(np.diff(self._units[order])) + 1, len(order))
        start = 0
        for end in ends:
            if end - start >= BLOCK or end == len(order):
                if end > start:
                    yield np.sort(order[start:end])
                start = end


def require_few(n_units: int) -> None:
    """Refuse more units of a site than sums are exact for.

    Raises
    ------
    InputError
        There are more.
    """
    if n_units > MOST_UNITS:
        message = f"the site has more than {MOST_UNITS:,} units, which no sum holds: give fewer"
        raise InputError(message, public=message)


def require_donors(site: Site) -> None:
    """Refuse to protect donors whom nothing names.

    Raises
    ------
    ConfigError
        The node config has no donor key.
    """
    if not site.node.donor_key:
        message = (
            "privacy-unit = donor: name the obs column with each record's donor as donor-key in "
            "the site's node-config (of simulated sites, in the run's settings)"
        )
        raise ConfigError(message, public=message)


def statistics_of(units: SiteUnits, generator: Generator, stage: Stage, state: State) -> np.ndarray:
    """A stage's whole numbers of all units of a site: int64 (n_values,)."""
    total = np.zeros(stage.n_values, dtype=np.int64)
    for records in units.blocks():
        total += generator.statistics(stage, records, state)
    return total


def _dense(matrix: sp.csr_matrix, rows: np.ndarray) -> np.ndarray:
    return matrix[rows].toarray().astype(np.float64)
