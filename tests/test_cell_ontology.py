"""A mapping file to the Cell Ontology, and what is wrong with one."""

import pytest

from common.classification.ontology import Term, read_terms, terms_of
from common.errors import InputError

GOOD = """label,cell_ontology_id,name
B,CL:0000236,B cell
"CD4 T",CL:0000624,"CD4-positive, alpha-beta T cell"
NK,CL:0000623,natural killer cell
"""


@pytest.fixture
def mapping(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "terms.csv"
        path.write_text(text, encoding=encoding)
        return path

    return write


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_terms_by_label(mapping, encoding):
    terms = read_terms(mapping(GOOD, encoding))
    assert terms["CD4 T"] == Term("CL:0000624", "CD4-positive, alpha-beta T cell")
    assert list(terms_of(("NK", "other"), terms)) == ["NK"]


def test_columns_may_stand_in_any_order(mapping):
    text = "name, label, cell_ontology_id\nB cell, B, CL:0000236\n"
    assert read_terms(mapping(text)) == {"B": Term("CL:0000236", "B cell")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "columns of an empty file"),
        ("label,cell_ontology_id,name\n", "maps no label"),
        ("label;cell_ontology_id;name\n", "separated by commas"),
        ("label,ontology,name\nB,CL:0000236,B\n", "columns 'label', 'ontology', 'name'"),
        (GOOD + "B,CL:0000236,B cell\n", r"more than once \('B'\)"),
        (GOOD + "nk,CL:0000623,natural killer cell\n", "'nk' and 'NK'"),
        (GOOD + "DC,CL:451,dendritic cell\n", "'DC' has cell_ontology_id 'CL:451'"),
        (GOOD + "DC,UBERON:0000451,x\n", "CL: and seven digits"),
        (GOOD + "DC,CL:0000236,dendritic\n", "names CL:0000236 both 'B cell' and 'dendritic'"),
        (GOOD + "DC,,dendritic cell\n", "line 5 has no cell_ontology_id"),
        (GOOD + "DC,CL:0000451\n", "line 5 has no name"),
        (GOOD + "CD8,CL:0000625,CD8-positive, alpha-beta\n", "line 5 has more than 3 values"),
    ],
)
def test_what_is_wrong_is_said(mapping, text, message):
    with pytest.raises(InputError, match=message):
        read_terms(mapping(text))


def test_files_that_cannot_be_read(mapping, tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_terms(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="not UTF-8"):
        read_terms(mapping("label,cell_ontology_id,name\nB\xe9,CL:0000236,B\n", "latin-1"))


def test_labels_without_a_term(mapping):
    terms = read_terms(mapping(GOOD))
    with pytest.raises(InputError, match=r"2 label\(s\).*'CD8 T', 'DC'.*did you mean 'CD4 T'"):
        terms_of(("B", "DC", "CD8 T"), terms)
    with pytest.raises(InputError, match="'cd4-t' and 'CD4 T'"):
        terms_of(("B", "cd4-t"), terms)
