"""Small cohorts, and what every generator is held to."""

import math

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from common.synthesis.generator import Generator, State
from common.synthesis.pooled import fit_pooled
from common.synthesis.records import Records
from common.synthesis.schema import Schema

N_GENES, N_CLASSES = 6, 3
# Of genes, in values of `schema`: what a site may hold, and what it may not.
WILD = st.one_of(
    st.floats(-1e9, 1e9), st.sampled_from([-1e300, 1e300, 0.0, 1e-300, 10.0, 20.0, 3.0])
)


def schema(unit: str = "record", counts: bool = False, n_genes: int = N_GENES) -> Schema:
    return Schema(
        genes=tuple(f"g{i}" for i in range(n_genes)),
        classes=("a", "b", "c"),
        low=0.0,
        high=50.0 if counts else 20.0,
        unit=unit,
        most_records=1 if unit == "record" else 4,
        counts=counts,
    )


def cohort(of: Schema, n_units: int, seed: int = 0, classes: int = N_CLASSES) -> Records:
    """Records whose genes differ by class and go together; donors have 1 to 9 of them."""
    rng = np.random.default_rng(seed)
    n_records = np.ones(n_units, int) if of.unit == "record" else rng.integers(1, 10, n_units)
    units = np.repeat(np.arange(n_units), n_records)
    label = rng.integers(0, classes, len(units))
    shape = (len(units), of.n_genes)
    mean = 8 + np.linspace(-2, 2, of.n_genes) + label[:, None] * np.linspace(0, 1, of.n_genes)
    values = mean + rng.standard_normal((len(units), 1)) + 0.7 * rng.standard_normal(shape)
    if of.counts:
        values = rng.poisson(np.exp((values - 8) / 2)).astype(float)
    return Records(np.clip(values, of.low, of.high), label, units)


def part(records: Records, units: np.ndarray) -> Records:
    """The whole units of a mask over units, counted anew from 0."""
    kept = units[records.units]
    _, again = np.unique(records.units[kept], return_inverse=True)
    return Records(records.values[kept], records.classes[kept], again)


def joined(a: Records, b: Records) -> Records:
    return Records(
        np.concatenate([a.values, b.values]),
        np.concatenate([a.classes, b.classes]),
        np.concatenate([a.units, b.units + a.n_units]),
    )


@st.composite
def one_unit(draw: st.DrawFn, of: Schema) -> Records:
    """A record, or a donor of up to 12, with any values."""
    n = 1 if of.unit == "record" else draw(st.integers(1, 12))
    values = draw(npst.arrays(np.float64, (n, of.n_genes), elements=WILD))
    label = draw(npst.arrays(np.int64, n, elements=st.integers(0, of.n_classes - 1)))
    return Records(values, label, np.zeros(n, dtype=np.int64))


def states(generator: Generator, records: Records) -> list[tuple[object, State]]:
    """Each stage with the state before it, of a run over ``records`` without noise."""
    out, state = [], {}
    for stage in generator.stages:
        out.append((stage, state))
        total = generator.statistics(stage, records, state).astype(np.float64)
        # Noise is told though none is added: radii are those of a private run.
        state = generator.take(stage, total, 0.01 * stage.l2, state)
    return out


def assert_additive(generator: Generator, records: Records, here: np.ndarray) -> None:
    a, b = part(records, here), part(records, ~here)
    for stage, state in states(generator, records):
        whole = generator.statistics(stage, records, state)
        assert whole.dtype == np.int64
        assert whole.shape == (stage.n_values,)
        split = generator.statistics(stage, a, state) + generator.statistics(stage, b, state)
        np.testing.assert_array_equal(split, whole, err_msg=stage.name)


def assert_bounded(
    generator: Generator, before: list[tuple[object, State]], base: Records, unit: Records
) -> None:
    """One unit more changes no statistic by more than its stated sensitivity."""
    for stage, state in before:
        own = generator.statistics(stage, unit, state)
        more = generator.statistics(stage, joined(base, unit), state)
        np.testing.assert_array_equal(more - generator.statistics(stage, base, state), own)
        # In Python's integers: exact.
        assert sum(int(x) ** 2 for x in own) <= stage.l2**2 * (1 + 1e-15), stage.name
        assert np.abs(own).max() <= stage.bound


def assert_shares(generator: Generator) -> None:
    assert math.fsum(stage.share for stage in generator.stages) <= 1 + 1e-12
    assert all(stage.share > 0 for stage in generator.stages)


def sampled(generator: Generator, records: Records, counts: list[int], seed: int = 0):
    """State, values and classes of a pooled run."""
    state = fit_pooled(generator, [records])
    values, classes = generator.sample(state, np.array(counts), np.random.default_rng(seed))
    np.testing.assert_array_equal(np.bincount(classes, minlength=len(counts)), counts)
    assert values.shape == (sum(counts), generator.schema.n_genes)
    assert np.isfinite(values).all()
    assert values.min() >= generator.schema.low
    assert values.max() <= generator.schema.high
    if generator.schema.counts:
        np.testing.assert_array_equal(values, np.round(values))
    return state, values, classes


def many_cells(n_per_class: int) -> Records:
    """One donor's, far more than count."""
    rng = np.random.default_rng(1)
    n = N_CLASSES * n_per_class
    counts = rng.poisson(3.0, (n, N_GENES)).astype(float)
    classes = np.repeat(np.arange(N_CLASSES), n_per_class)
    return Records(counts, classes, np.zeros(n, dtype=np.int64))
