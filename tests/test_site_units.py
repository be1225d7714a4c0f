"""A site's records in blocks: every unit once and whole, however small the blocks are."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from client.units import SiteUnits
from common.errors import ConfigError, GeneError
from common.synthesis.contributions import pairs_of
from common.synthesis.records import Records
from common.synthesis.schema import Schema

GENES = ("a", "b", "c")
CLASSES = ("A", "B")


def units_of(values, labels, donors, unit):
    """The units of a site that holds these records."""
    file = SimpleNamespace(
        path="x.h5ad",
        genes=list(GENES),
        classes=np.array(labels, dtype=object),
        donors=None if donors is None else np.array(donors, dtype=str),
        n_cells=len(labels),
    )
    node = SimpleNamespace(donor_key="" if donors is None else "donor")
    site = SimpleNamespace(file=file, node=node, counts=lambda genes: sparse.csr_matrix(values))
    return SiteUnits(site, Schema(GENES, CLASSES, -1.0, 1.0, unit, 50 if unit == "donor" else 1))


record = st.tuples(st.sampled_from(["A", "B", "C", None]), st.sampled_from("uvwxyz"))


@settings(max_examples=150, deadline=None)
@given(st.lists(record, max_size=40), st.integers(1, 12), st.sampled_from(["record", "donor"]))
def test_every_unit_is_in_one_block_with_all_of_its_records(records, block, unit):
    labels, donors = [r[0] for r in records], [r[1] for r in records]
    # The first value names the record, exactly within the bounds.
    values = np.tile(np.arange(len(records))[:, None] / 64.0, (1, 3)).reshape(-1, 3)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("client.units.BLOCK", block)
        units = units_of(values, labels, donors, unit)
        blocks = list(units.blocks())
    seen = [(value[0] * 64).round().astype(int) for b in blocks for value in b.values]
    kept = [i for i, label in enumerate(labels) if label in CLASSES]
    assert sorted(int(i) for i in seen) == kept
    assert units.n_left_out == len(records) - len(kept)
    owners = []
    for b in blocks:
        rows = (b.values[:, 0] * 64).round().astype(int)
        assert [CLASSES[code] for code in b.classes] == [labels[row] for row in rows]
        assert set(b.units.tolist()) == set(range(b.n_units))
        for number in range(b.n_units):
            mine = rows[b.units == number].tolist()
            names = {donors[row] for row in mine} if unit == "donor" else set(mine)
            assert len(names) == 1
            owners.append(names.pop())
    # None of them a second time: a unit in two blocks would count twice.
    assert len(owners) == len(set(owners)) == units.n_units


def test_what_is_outside_the_bounds_is_clipped_and_counted_anew_each_time():
    values = np.array([[0.5, -9.0, 2.0], [1.0, -1.0, 0.0]])
    units = units_of(values, ["A", "B"], ["u", "v"], "record")
    for _ in range(2):
        (block,) = units.blocks()
        assert block.values.tolist() == [[0.5, -1.0, 1.0], [1.0, -1.0, 0.0]]
        assert units.n_clipped == 2


def test_a_gene_that_is_not_here_is_no_zero():
    site = SimpleNamespace(file=SimpleNamespace(path="x.h5ad", genes=list(GENES)))
    with pytest.raises(GeneError, match="1 of 4 genes asked for are not here, such as 'z'"):
        SiteUnits(site, Schema((*GENES, "z"), CLASSES, -1.0, 1.0))


def test_of_a_donor_with_many_records_no_more_than_count_are_read():
    """And those are the ones that the generators would take of all of them."""
    rng = np.random.default_rng(4)
    n = 3000
    values, labels = rng.uniform(-1, 1, (n, 3)), rng.choice(["A", "B"], n, p=[0.7, 0.3])
    donors = np.where(np.arange(n) % 10, "u", "v")
    units = units_of(values, labels, donors, "donor")
    (block,) = units.blocks()
    assert len(block.values) == 4 * 50
    assert (units.n_units, len(units.rows)) == (2, n)
    codes, of = (labels == "B").astype(np.int64), (donors == "v").astype(np.int64)
    whole = pairs_of(Records(values, codes, of), units.schema)
    part = pairs_of(block, units.schema)
    for name in ("values", "classes", "sizes", "pair_class", "pair_unit"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name))


@pytest.mark.parametrize(
    ("genes", "classes"), [(("a", "a"), CLASSES), (GENES, ("A", "B", "A")), (GENES, ("A", None))]
)
def test_names_that_are_none_are_refused(genes, classes):
    """Nobody's class would be that of the records without one."""
    with pytest.raises(ConfigError, match="is named twice, or by no name"):
        SiteUnits(SimpleNamespace(file=None), Schema(genes, classes, -1.0, 1.0))


def test_records_of_donors_nobody_names_are_not_donors():
    """A coordinator need not ask for the description, which refuses this first."""
    with pytest.raises(ConfigError, match="privacy-unit = donor: name the obs column"):
        units_of(np.zeros((2, 3)), ["A", "B"], None, "donor")
