"""A study's own mapping of its labels to terms of the Cell Ontology.

Diehl et al. 2016, doi:10.1186/s13326-016-0088-7. The file is CSV with the columns ``label``,
``cell_ontology_id`` and ``name``; it may map more labels than a study has.
"""

import csv
import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from common.classification.vocabulary import OTHER
from common.data.obs import repeated
from common.data.spelling import other_spellings, refuse_other_spellings, require_one_spelling
from common.data.wording import quoted
from common.errors import InputError
from common.registry import did_you_mean

COLUMNS = ("label", "cell_ontology_id", "name")
_ID = re.compile(r"CL:\d{7}")


class Term(NamedTuple):
    """A term of the Cell Ontology: its id, as ``CL:0000236``, and name."""

    id: str
    name: str


def read_terms(path: str | Path) -> dict[str, Term]:
    """The terms in a file, by label.

    Raises
    ------
    InputError
        The file cannot be read, has other columns, an empty label or name, a label twice or in two
        spellings, an id that is none of the Cell Ontology, or an id under two names.
    """
    path = Path(path).expanduser()
    rows = _rows(path)
    labels = [row["label"] for row in rows]
    if twice := repeated(labels):
        raise InputError(
            f"{path} maps {len(twice)} label(s) more than once ({quoted(twice)}): keep one row of "
            "each."
        )
    require_one_spelling(labels)
    terms = {row["label"]: Term(row["cell_ontology_id"], row["name"]) for row in rows}
    names: dict[str, str] = {}
    for label, term in terms.items():
        if not _ID.fullmatch(term.id):
            raise InputError(
                f"{path}: label {label!r} has cell_ontology_id {term.id!r}: write CL: and seven "
                "digits, as CL:0000236."
            )
        if names.setdefault(term.id, term.name) != term.name:
            raise InputError(
                f"{path} names {term.id} both {names[term.id]!r} and {term.name!r}: keep one name."
            )
    return terms


def terms_of(classes: Collection[str], terms: dict[str, Term]) -> dict[str, Term]:
    """The term of every class; ``other``, which is no type of cell, needs none.

    Raises
    ------
    InputError
        A class is not mapped; the error has its nearest match in the file.
    """
    missing = sorted(set(classes) - set(terms) - {OTHER})
    refuse_other_spellings(other_spellings(missing, terms))
    if missing:
        known = did_you_mean(missing[0], terms).removesuffix(".")
        raise InputError(
            f"{len(missing)} label(s) have no Cell Ontology term ({quoted(missing)}); of "
            f"{missing[0]!r}, {known}: add a row for each to the mapping file."
        )
    return {name: terms[name] for name in classes if name in terms}


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        # Spreadsheets write a byte-order mark.
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(
            f"the mapping file {path} cannot be read ({error.strerror}): give another path."
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"the mapping file {path} is not UTF-8 text: save it as such.") from None
    reader = csv.DictReader(text.splitlines(), restkey="more", restval="", skipinitialspace=True)
    header = [name.strip() for name in reader.fieldnames or []]
    if sorted(header) != sorted(COLUMNS):
        raise InputError(
            f"{path} has the columns {quoted(header, at_most=6) or 'of an empty file'}: write the "
            f"header {','.join(COLUMNS)}, separated by commas."
        )
    reader.fieldnames = header
    rows = []
    for row in reader:
        if "more" in row:
            raise InputError(
                f"{path}, line {reader.line_num} has more than {len(COLUMNS)} values: put names "
                "that hold a comma in double quotes."
            )
        row = {name: value.strip() for name, value in row.items()}
        if empty := [name for name in COLUMNS if not row[name]]:
            raise InputError(
                f"{path}, line {reader.line_num} has no {empty[0]}: fill it in or drop the line."
            )
        rows.append(row)
    if not rows:
        raise InputError(f"{path} maps no label: add a row for each.")
    return rows
