"""What a coordinator may send that is no state, and what it may ask that is no part of the task."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import ConfigError
from common.privacy.distributed_noise import SharedNoise
from common.synthesis.contributions import STEPS, whole_in_ball
from common.synthesis.pooled import mu_of_run, variance_of
from common.synthesis.records import Records
from common.synthesis.registry import GENERATORS
from common.synthesis.schema import Schema
from common.synthesis.state_check import require_state

D, K = 5, 3
CASES = [
    ("gaussian", "record", False),
    ("gaussian", "donor", True),
    ("gaussian, some genes", "record", False),
    ("gaussian, some genes", "donor", False),
    ("gaussian, contrast", "record", False),
    ("gaussian, contrast", "donor", True),
    ("star", "record", False),
    ("star", "donor", False),
    ("copula", "record", True),
    ("copula", "donor", False),
    ("cvae", "record", False),
]
OPTIONS = {
    "copula": {"copula-share": 0.2},
    "cvae": {"steps": 2},
    "gaussian, some genes": {"class-genes": ["g3", "g0"]},
    "gaussian, contrast": {"contrast-share": 0.1, "classes-share": 0.45},
}


def generator_of(name: str, unit: str, counts: bool, n_genes: int = D, n_classes: int = K):
    genes = tuple(f"g{j}" for j in range(n_genes))
    classes = tuple(f"c{c}" for c in range(n_classes))
    most = 3 if unit == "donor" else 1
    schema = Schema(genes, classes, 0.0, 20.0, unit, most, counts)
    return GENERATORS.get(name.partition(",")[0])(schema, 1.0, 1e-5, OPTIONS.get(name, {}))


def some_records(n: int, seed: int = 0, units=None, counts: bool = True, sizes=(D, K)) -> Records:
    (n_genes, n_classes), rng = sizes, np.random.default_rng(seed)
    values = rng.uniform(0, 20, (n, n_genes))
    values = np.floor(values) if counts else values
    return Records(values, rng.integers(0, n_classes, n), np.arange(n) if units is None else units)


def states_of(generator):
    """Each stage with the state before it, of honest sums."""
    state, found = {}, []
    records = some_records(40, sizes=(generator.schema.n_genes, generator.schema.n_classes))
    for stage in generator.stages:
        found.append((stage, state))
        total = generator.statistics(stage, records, state).astype(float)
        state = generator.take(stage, total, 1.0, state)
    return found


def norm(total: np.ndarray) -> float:
    return float(np.sqrt((total.astype(float) ** 2).sum()))


HUGE = [0.0, -1.0, 1e-320, -1e-310, 1e-160, 1e-80, 1e80, -1e160, 1e300, -1e308]
NOT_FINITE = [np.nan, np.inf, -np.inf]


@pytest.mark.parametrize(("name", "unit", "counts"), CASES)
def test_no_state_lifts_what_a_unit_adds_above_the_sensitivity(name, unit, counts):
    """Each array of the state in turn, all of it or one number: the rest is honest."""
    generator = generator_of(name, unit, counts)
    units = np.zeros(4, dtype=np.int64) if unit == "donor" else None
    alone = [some_records(4 if unit == "donor" else 1, seed, units) for seed in range(3)]
    tried = 0
    for stage, state in states_of(generator):
        for key, array in state.items():
            if not array.size:
                continue
            for value in HUGE + NOT_FINITE:
                for everywhere in (True, False):
                    bad = np.array(array, dtype=np.float64)
                    bad[... if everywhere else (0,) * bad.ndim] = value
                    for records in alone:
                        try:
                            with np.errstate(all="ignore"):
                                total = generator.statistics(stage, records, state | {key: bad})
                        except (ArithmeticError, ValueError, ConfigError):
                            continue
                        tried += 1
                        assert norm(total) <= stage.l2, (stage.name, key, value)
    assert tried > 50


@pytest.mark.parametrize(("name", "unit", "counts"), CASES)
def test_a_state_that_fits_by_the_records_alone_is_refused_without_them(name, unit, counts):
    """Else it fits or not by how many records there are, or by whether a class is there."""
    generator = generator_of(name, unit, counts)
    n = 9
    units = np.arange(n) // 3 if unit == "donor" else None
    for stage, state in states_of(generator):
        require_state(generator, stage, state)
        for key, array in state.items():
            if not array.size:
                continue
            for value in NOT_FINITE:
                bad = np.array(array, dtype=np.float64)
                bad[(0,) * bad.ndim] = value
                with pytest.raises(ConfigError, match="not finite"):
                    require_state(generator, stage, state | {key: bad})
            tiled = [np.broadcast_to(array, (m, *array.shape)).copy() for m in (3, n)]
            fewer = [array[:-1]] if array.ndim else []
            for bad in [*tiled, *fewer]:
                told = set()
                for there in (some_records(n, 1, units), some_records(n + 2, 2), _of_one(n)):
                    try:
                        with np.errstate(all="ignore"):
                            generator.statistics(stage, there, state | {key: bad})
                        told.add("answered")
                    except Exception:
                        told.add("refused")
                if len(told) > 1:
                    with pytest.raises(ConfigError, match=r"does not fit|numbers"):
                        require_state(generator, stage, state | {key: bad})


def _shapes(array: np.ndarray, n_genes: int, n_classes: int) -> set[tuple[int, ...]]:
    """The array's own, and those that NumPy may take for it, of few genes or of few records."""
    own, d, k = array.shape, n_genes, n_classes
    some = {(), (1,), (d,), (k,), (d, k), (k, d), (1, d), (k, 1), (k, 1, d), (array.size,)}
    return some | {own, own[::-1], own[1:], own[:1], (*own, 1), (1, *own), (*own, 5), (5, *own)}


@pytest.mark.parametrize("sizes", [(1, 2), (1, 3), (3, 2)])
@pytest.mark.parametrize("name", ["gaussian, contrast", "star", "copula", "cvae"])
def test_a_state_of_any_shape_is_refused_or_lets_units_add_up(name, sizes):
    """Of one gene, values (n, 1) less class means (n,) would be a square: each row of all units."""
    generator = generator_of(name, "record", False, *sizes)
    rng, told = np.random.default_rng(0), {"refused": 0, "tried": 0}
    for stage, state in states_of(generator):
        for key, array in state.items():
            for shape in sorted(_shapes(np.asarray(array), *sizes)):
                bad = state | {key: rng.uniform(0.5, 20, shape)}
                try:
                    require_state(generator, stage, bad)
                except ConfigError:
                    told["refused"] += 1
                    continue
                told["tried"] += 1
                for n in (2, 3, 6):
                    whole = some_records(n, n, counts=False, sizes=sizes)
                    ones = [
                        Records(whole.values[[i]], whole.classes[[i]], np.zeros(1, dtype=np.int64))
                        for i in range(n)
                    ]
                    parts = [generator.statistics(stage, one, bad) for one in ones]
                    found = generator.statistics(stage, whole, bad)
                    np.testing.assert_array_equal(sum(parts), found, err_msg=f"{key} {shape}")
    assert min(told.values()) > 10


def _of_one(n: int) -> Records:
    return Records(some_records(n).values, np.zeros(n, dtype=np.int64), np.arange(n))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(-1e308, 1e308, allow_subnormal=True), min_size=1, max_size=40),
    st.floats(1e-100, 1e100),
)
def test_cutting_to_whole_numbers_never_lengthens(row, radius):
    rows = np.array([row])
    with np.errstate(over="ignore"):
        whole = whole_in_ball(rows, np.sqrt((rows * rows).sum(axis=1)), radius)
    assert sum(int(v) ** 2 for v in whole[0]) <= STEPS**2


def test_a_row_on_the_balls_edge_is_within_it():
    """Powers of two are whole steps: nothing is cut off but what ``BELOW_ONE`` takes."""
    for n in (1, 4, 16, 64, 1024, 4096):
        rows = np.full((1, n), 1.0)
        whole = whole_in_ball(rows, np.sqrt([float(n)]), np.sqrt(n))
        assert sum(int(v) ** 2 for v in whole[0]) <= STEPS**2


@pytest.mark.parametrize("radius", [0.0, -1.0, np.nan, np.inf, 1e-310, 1e200])
def test_a_radius_that_is_none_is_refused(radius):
    with pytest.raises(ConfigError, match="clipping radius"):
        whole_in_ball(np.ones((2, 3)), np.full(2, np.sqrt(3.0)), radius)


def test_rows_that_are_not_finite_add_nothing():
    rows = np.array([[1.0, np.nan], [np.inf, 0.0], [1e200, 1.0], [0.6, 0.8]])
    with np.errstate(over="ignore"):
        whole = whole_in_ball(rows, np.sqrt((rows * rows).sum(axis=1)), 1.0)
    assert not whole[:3].any()
    assert whole[3].all()


@pytest.mark.parametrize("name", ["gaussian", "gaussian, some genes", "copula"])
def test_a_donor_of_one_record_adds_the_same_beside_donors_of_several(name):
    """Else a donor of several changes what all the others add."""
    generator = generator_of(name, "donor", False)
    single, several = some_records(6, 1), some_records(4, 2, np.array([0, 0, 1, 1]))
    both = Records(
        np.concatenate([single.values, several.values]),
        np.concatenate([single.classes, several.classes]),
        np.concatenate([single.units, several.units + 6]),
    )
    for stage, state in states_of(generator):
        apart = [generator.statistics(stage, records, state) for records in (single, several)]
        together = generator.statistics(stage, both, state)
        np.testing.assert_array_equal(apart[0] + apart[1], together)


@pytest.mark.parametrize("epsilon", [0.25, 10.0])
@pytest.mark.parametrize(("name", "unit", "counts"), CASES)
def test_the_noise_of_one_of_many_sites_fits_the_grid(name, unit, counts, epsilon):
    """Counts in whole numbers had too little for eight sites at epsilon 10."""
    generator, mu = generator_of(name, unit, counts), mu_of_run(epsilon, 1e-5)
    for stage in generator.stages:
        for n_sites in (2, 8, 100):
            noise = SharedNoise(variance_of(stage, mu), n_sites, 0, 1, stage.n_values, stage.l2)
            assert noise.share >= 4
