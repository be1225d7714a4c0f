"""Labels that are one but for case, spaces, hyphens or underscores.

A sign is no separator: "CD4- T" and "CD4 T" stay two labels, and so do the clusters "1_2" and "12".
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping

from common.errors import InputError

_DASHES = re.compile("[\u2010-\u2015\u2212]")
# What a hyphen after a letter means where no letter or digit follows: a marker is absent.
_MINUS = re.compile(r"(?<=[^\W_])-(?![^\W_])")
_BETWEEN_DIGITS = re.compile(r"(?<=\d)[\s_-]+(?=\d)")
_AT_MOST = 3
DIFFER_ONLY = "differ only in case, spaces, hyphens or underscores"


def folded(label: str) -> str:
    """A label without what spellings differ in: equal for two spellings of one label."""
    text = _DASHES.sub("-", unicodedata.normalize("NFKC", label)).casefold().strip()
    text = _MINUS.sub("\N{MINUS SIGN}", text)
    text = _BETWEEN_DIGITS.sub("\N{MIDDLE DOT}", text)
    return re.sub(r"[\s_-]+", "", text)


def other_spellings(labels: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Labels that are not among the known ones but for their spelling, and the known one of each.

    Of two known spellings the one that sorts first is named.
    """
    known = sorted(known, reverse=True)
    by_folded = {folded(label): label for label in known}
    unlike = sorted(set(labels) - set(known))
    return {label: by_folded[folded(label)] for label in unlike if folded(label) in by_folded}


def require_one_spelling(labels: Iterable[str], n_sites: Mapping[str, int] | None = None) -> None:
    """Every label has one spelling.

    Parameters
    ----------
    labels
        Of a site's file or of a study's sites; repeats do not matter.
    n_sites
        How many sites hold each spelling, where that is known: the error advises the one that most
        hold. Else the one that sorts first.

    Raises
    ------
    InputError
        Two labels are one but for case, spaces, hyphens or underscores.
    """
    spellings: dict[str, list[str]] = {}
    for label in sorted(set(labels)):
        spellings.setdefault(folded(label), []).append(label)
    renamed = {}
    for group in spellings.values():
        best = max(group, key=lambda label: (n_sites or {}).get(label, 0))
        renamed |= {label: best for label in group if label != best}
    refuse_other_spellings(renamed)


def refuse_other_spellings(renamed: Mapping[str, str]) -> None:
    """Refuse labels that are another spelling of one that is known.

    Parameters
    ----------
    renamed
        As from :func:`other_spellings`; if empty, nothing is wrong.

    Raises
    ------
    InputError
        It names both spellings, and the one to take.
    """
    if not renamed:
        return
    shown = list(renamed.items())[:_AT_MOST]
    pairs = "; ".join(f"{label!r} and {known!r}" for label, known in shown)
    more = f" (and {len(renamed) - len(shown)} more)" if len(renamed) > len(shown) else ""
    fixes = ", ".join(f"{label!r} to {known!r}" for label, known in shown)
    raise InputError(f"labels {DIFFER_ONLY}: {pairs}{more}: rename {fixes}.")
