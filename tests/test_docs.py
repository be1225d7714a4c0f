"""The reference pages in docs/ are those that the code makes."""

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
PAGES = runpy.run_path(str(DOCS / "generate.py"))["PAGES"]


@pytest.mark.parametrize("page", PAGES)
def test_page_is_up_to_date(page):
    assert (DOCS / page).read_text() == PAGES[page](), "run `make docs`"


@pytest.mark.parametrize("key", ["n-top-genes", "cell-type-key", "data-path"])
def test_settings_name_every_key(key):
    assert f"| `{key}` |" in (DOCS / "settings.md").read_text()
