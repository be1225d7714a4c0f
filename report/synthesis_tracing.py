"""The attack that knows the generator, on a run whose bundle and noisy sums are in its folder."""

from pathlib import Path

import numpy as np

from common.synthesis.audit.kept_sums import kept_sums
from common.synthesis.audit.tracing import tracing_scores
from common.synthesis.audit.watched import replayed
from common.synthesis.published import PublishedCohort
from common.synthesis.records import Records
from common.synthesis.schema import Schema
from report.synthetic_cohort import Cohorts

# Of each kind: what each adds to each sum is asked one by one.
MOST_UNITS = 1000


def traced(
    run_dir: Path, cohorts: Cohorts, *, whole: bool, seed: int
) -> tuple[tuple[np.ndarray, np.ndarray] | None, str]:
    """Scores of members and others, or why there are none.

    Parameters
    ----------
    cohorts
        With held-out records.
    whole
        The real records are all that the run saw.
    seed
        Of the units that are taken of many.

    Raises
    ------
    InputError
        The bundle is damaged.
    """
    if not (run_dir / "bundle").is_dir():
        return None, "the run's bundle is not in its folder"
    published = PublishedCohort.load(run_dir / "bundle")
    generator = published.generator
    kept = kept_sums(run_dir, len(generator.stages))
    if kept is None:
        return None, "the run's noisy sums are not in its folder"
    kinds = [
        _some(_clipped(records, generator.schema), seed)
        for records in (cohorts.real, cohorts.held_out)
    ]
    all_there = whole and kinds[0].n_units == cohorts.real.n_units
    releases = replayed(generator, *kept)
    return tracing_scores(generator, releases, *kinds, whole=all_there, seed=seed), ""


def _clipped(records: Records, schema: Schema) -> Records:
    values = np.clip(records.values, schema.low, schema.high)
    return Records(values, records.classes, records.units)


def _some(records: Records, seed: int) -> Records:
    """At random at most so many units, whole."""
    if records.n_units <= MOST_UNITS:
        return records
    units = np.random.default_rng(seed).choice(records.n_units, MOST_UNITS, replace=False)
    rows = np.isin(records.units, units)
    _, again = np.unique(records.units[rows], return_inverse=True)
    return Records(records.values[rows], records.classes[rows], again.astype(np.int64))
