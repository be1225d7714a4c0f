"""A confusion matrix as it is shown: rows and columns that occur, shades, and what is told."""

from report.confusion_table import confusion_table
from report.page import percent

CLASSES = ["A", "B", "C"]
# The last row are cells of no class, the last column unknown answers; nobody has C or answers it.
COUNTS = [[90, 9, 0, 1], [0, 40, 0, 0], [0, 0, 0, 0], [6, 0, 0, 4]]


def test_what_occurs_is_shown_and_shaded():
    table = confusion_table(COUNTS, CLASSES)
    assert table.columns == ["A", "B", "unknown"]
    assert [(row.name, row.n_cells) for row in table.rows] == [
        ("A", 100),
        ("B", 40),
        ("none of these", 10),
    ]
    a, b, none = ([(c.n_cells, c.shade, c.right) for c in row.cells] for row in table.rows)
    assert a == [(90, 5, True), (9, 2, False), (1, 1, False)]
    assert b == [(0, 0, False), (40, 5, True), (0, 0, False)]
    # That a cell of no class is unknown is right.
    assert none == [(6, 4, False), (0, 0, False), (4, 3, True)]


def test_the_most_frequent_wrong_answers_are_told():
    table = confusion_table(COUNTS, CLASSES)
    assert table.told == [
        "A answered B: 9 of 100 cells",
        "cells of none of the classes answered A: 6 of 10 cells",
        "A answered unknown: 1 of 100 cells",
    ]
    assert table.alt.startswith("130 of 140 cells of 3 classes lie on the diagonal")
    assert confusion_table([[3, 0, 0], [0, 4, 0], [0, 0, 0]], ["A", "B"]).told == []


def test_a_share_that_is_not_all_is_not_called_all():
    shares = (0.0, 0.001, 0.25, 0.999, 1.0)
    shown = [percent(share).replace("\u00a0", " ") for share in shares]
    assert shown == ["0 %", "< 1 %", "25 %", "> 99 %", "100 %"]
