"""Gene names and the vocabulary that sites agree on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.data.genes import agree, columns_of, gene_kind, is_ensembl, strip_version
from common.errors import ConfigError, GeneError

SYMBOLS = [f"GENE{i}" for i in range(12)]
IDS = [f"ENSG{i:011d}" for i in range(12)]


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("ENSG00000123456.7", "ENSG00000123456"),
        ("ENSMUSG00000064372.12", "ENSMUSG00000064372"),
        ("ENSG00000002586.20_PAR_Y", "ENSG00000002586_PAR_Y"),
        ("ENSG00000228794.8_3", "ENSG00000228794"),
        ("ENSG00000123456", "ENSG00000123456"),
    ],
)
def test_ensembl_versions_go(name, bare):
    assert strip_version(name) == bare
    assert is_ensembl(name)


@pytest.mark.parametrize(
    "name", ["RP11-34P13.7", "HLA.A", "AC012345.1", "ENSA", "ENSG1.2", "NKX2.5", "1.2", ""]
)
def test_symbols_keep_their_dots(name):
    assert strip_version(name) == name
    assert not is_ensembl(name)


def test_kind_follows_the_majority():
    assert gene_kind(IDS) == "ensembl"
    assert gene_kind(SYMBOLS + IDS[:3]) == "symbol"
    assert gene_kind(IDS + SYMBOLS[:3]) == "ensembl"
    assert gene_kind([]) == "symbol"


genes = st.lists(st.sampled_from([f"G{i}" for i in range(30)]), unique=True, min_size=1)
others = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), genes, min_size=1, max_size=5)


@given(others, st.randoms(use_true_random=False), st.sampled_from(["intersection", "union"]))
def test_the_order_of_sites_and_of_genes_is_irrelevant(sites, random, join):
    sites = {site: [*own, "SHARED"] for site, own in sites.items()}
    first = agree(sites, join=join, max_padded=1)
    shuffled = {}
    for site in random.sample(sorted(sites), len(sites)):
        shuffled[site] = random.sample(sites[site], len(sites[site]))
    assert agree(shuffled, join=join, max_padded=1) == first
    assert list(first.genes) == sorted(set(first.genes))
    expected = (set.intersection if join == "intersection" else set.union)(
        *map(set, sites.values())
    )
    assert set(first.genes) == expected
    for site, own in sites.items():
        lacking = sum(gene not in own for gene in first.genes)
        assert first.padded[site] == pytest.approx(lacking / len(first.genes))


@given(genes, genes)
def test_columns_lead_to_the_gene_or_to_nothing(vocabulary, own):
    columns = columns_of(vocabulary, own)
    assert columns.dtype == np.int64
    for gene, column in zip(vocabulary, columns, strict=True):
        assert (own[column] == gene) if column >= 0 else (gene not in own)


@pytest.mark.parametrize("join", ["intersection", "union"])
def test_two_schemes_are_named(join):
    with pytest.raises(GeneError) as caught:
        agree({"A": IDS, "B": SYMBOLS}, join=join, max_padded=1)
    for part in ("no gene is shared", "site 'A' has Ensembl ids such as 'ENSG", "gene-column"):
        assert part in str(caught.value)
    assert "site 'B' has symbols such as 'GENE0'" in str(caught.value)


def test_a_few_ids_in_a_symbol_list_do_not_make_a_vocabulary():
    with pytest.raises(GeneError, match="only 2 genes are shared"):
        agree({"A": IDS, "B": SYMBOLS + IDS[:2]})


def test_species_differ_in_case():
    with pytest.raises(GeneError, match="upper and lower case"):
        agree({"human": ["CD3D", "MS4A1"], "mouse": ["Cd3d", "Ms4a1"]})


def test_union_names_a_site_that_shares_nothing():
    with pytest.raises(GeneError, match="no gene is shared"):
        agree({"A": ["x", "y"], "B": ["x", "z"], "C": ["q"]}, join="union", max_padded=1)


def test_union_limits_padding():
    sites = {"A": SYMBOLS, "B": SYMBOLS[:6]}
    assert agree(sites, join="union", max_padded=0.5).padded == {"A": 0.0, "B": 0.5}
    with pytest.raises(GeneError, match=r"site 'B' lacks 50% of the 12 genes.*max-padded = 0\.3"):
        agree(sites, join="union")


def test_one_site_and_no_site():
    assert agree({"A": ["b", "a"]}).genes == ("a", "b")
    with pytest.raises(GeneError, match="no site"):
        agree({})


def test_unknown_join():
    with pytest.raises(ConfigError, match="did you mean 'union'"):
        agree({"A": SYMBOLS}, join="unoin")


def test_a_gene_that_too_few_sites_have_is_left_out_of_the_union():
    """A sum over one site that has it would be that site's."""
    sites = {"a": ["G1", "G2", "G3"], "b": ["G1", "G2", "G4"], "c": ["G1", "G3", "G4"]}
    settings = {"join": "union", "max_padded": 0.5}
    assert agree(sites | {"a": [*sites["a"], "G5"]}, **settings).genes == (
        "G1",
        "G2",
        "G3",
        "G4",
        "G5",
    )
    two = agree(sites | {"a": [*sites["a"], "G5"]}, min_holders=2, **settings)
    assert two.genes == ("G1", "G2", "G3", "G4")
    assert two.padded == {"a": 0.25, "b": 0.25, "c": 0.25}
    assert agree(sites, min_holders=3, **settings).genes == ("G1",)
    # A single site is itself.
    assert agree({"a": ["G1", "G2"]}, min_holders=2, **settings).genes == ("G1", "G2")
