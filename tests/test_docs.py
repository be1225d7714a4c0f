"""The reference pages in docs/ are those that the code makes."""

import runpy
from pathlib import Path

import pytest

from common.strategy_names import READS, ROBUST
from strategies.by_name import SERVER_LEARNING_RATES

DOCS = Path(__file__).parent.parent / "docs"
PAGES = runpy.run_path(str(DOCS / "generate.py"))["PAGES"]


@pytest.mark.parametrize("page", PAGES)
def test_page_is_up_to_date(page):
    assert (DOCS / page).read_text() == PAGES[page](), "run `make docs`"


@pytest.mark.parametrize("key", ["n-top-genes", "cell-type-key", "data-path"])
def test_settings_name_every_key(key):
    assert f"| `{key}` |" in (DOCS / "settings.md").read_text()


@pytest.mark.parametrize("name", READS)
def test_strategies_are_told_with_their_settings_and_rates(name):
    lines = (DOCS / "strategies.md").read_text().splitlines()
    (row,) = [line for line in lines if line.startswith(f"| `{name}`")]
    assert all(f"`{key.replace('_', '-')}`" in row for key in READS[name])
    assert f"| {'no' if name in ROBUST else 'yes'} |" in row
    if name in SERVER_LEARNING_RATES:
        assert f"`server-learning-rate` ({SERVER_LEARNING_RATES[name]})" in row
