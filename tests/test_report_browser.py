"""Pages in a headless Chromium: no error, no request, sorted by keys, no wider than a phone."""

import pytest

from report import run_page
from report.run_page import write_run_page
from report.site_page import write_site_page
from tests.browser import browser, chromium
from tests.real_sites import real_sites, run
from tests.report_runs import cells, failed_run, made_up_run

pytestmark = pytest.mark.skipif(
    chromium() is None, reason="no chromium on this machine: apt-get install chromium"
)
PAGES = ("awkward", "failed", "site")
NAMES = ["bern", "chur", "genf"]


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    made_up_run(folder / "awkward")
    failed_run(folder / "failed")
    sites = real_sites(folder / "site", NAMES)
    run(folder / "out", list(sites.values()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_page, "corrected_files", lambda path: [])
        patch.setattr(run_page, "gather", lambda *_, **__: (cells(), 12_345))
        patch.setattr("report.pictures.umap_layout", lambda components, seed: components[:, :2])
        return {
            "awkward": write_run_page(folder / "awkward", pictures=True),
            "failed": write_run_page(folder / "failed", pictures=True),
            "site": write_site_page(folder / "site" / "bern"),
        }


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_error_and_nothing_asked_of_anyone(tab, paths, name, scheme):
    tab.open(paths[name], prefers_color_scheme=scheme)
    assert tab.errors() == []
    assert {url.split(":")[0] for url in tab.requests()} <= {"file", "data"}
    assert [url for url in tab.requests() if url.startswith("file")] == [paths[name].as_uri()]
    # What a name would run; the policy would stop it, and say so in the console.
    assert tab.value("document.querySelectorAll('script').length") == 1


@pytest.mark.parametrize(("name", "n_images"), [("awkward", 4), ("failed", 0), ("site", 4)])
def test_images_are_there_and_say_what_is_to_be_seen(tab, paths, name, n_images):
    tab.open(paths[name])
    images = tab.value("[...document.images].map(i => [i.naturalWidth, i.alt.length])")
    assert len(images) == n_images
    assert all(width > 0 and length > 40 for width, length in images)
    drawings = tab.value(
        "[...document.querySelectorAll('svg')].filter(s => s.ariaHidden != 'true')"
        ".map(s => s.role + s.ariaLabel)"
    )
    assert all(text.startswith("imgLoss by round: validation loss 0.9") for text in drawings)


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_the_page_is_no_wider_than_the_window(tab, paths, name, width):
    tab.open(paths[name], width=width)
    assert tab.value("document.documentElement.scrollWidth") == width
    # A wide table scrolls within its own box, which the keyboard can reach.
    boxes = tab.value(
        "[...document.querySelectorAll('table')].map(t => t.closest('.scroll')?.tabIndex ?? -1)"
    )
    assert set(boxes) == {0}


TABLE = "document.querySelector('[aria-label=\"What left the sites, by site\"] table')"
FIRSTS = f"[...{TABLE}.tBodies[0].rows].map(r => r.cells[0].textContent)"
SORTED = f"[...{TABLE}.tHead.rows[0].cells].map(c => c.getAttribute('aria-sort'))"


def tab_to(tab, text, most=200):
    """Press Tab until a button with this text has the focus."""
    for _ in range(most):
        tab.press("Tab", 9)
        if tab.value(f"document.activeElement.closest('table') === {TABLE}") and (
            tab.value("document.activeElement.textContent") == text
        ):
            return
    raise AssertionError(f"Tab does not come to {text!r}")


def test_a_table_is_sorted_by_the_keyboard(tab, paths):
    tab.open(paths["awkward"])
    rows = tab.value(FIRSTS)
    assert len(rows) == 40
    assert rows[1].endswith(" 2")
    assert rows[9].endswith(" 10")
    tab_to(tab, "In masked sums")
    tab.press("Enter", 13, "\r")
    assert tab.value(SORTED) == ["none", "none", "ascending", "none", "none"]
    # Site i sent i bytes more than the first.
    assert tab.value(FIRSTS) == rows
    tab.press("Enter", 13, "\r")
    assert tab.value(SORTED) == ["none", "none", "descending", "none", "none"]
    assert tab.value(FIRSTS) == rows[::-1]
    tab.press("Tab", 9)
    tab.press(" ", 32, " ")
    assert tab.value(SORTED)[2:4] == ["none", "ascending"]
    assert tab.errors() == []


def test_it_is_whole_without_scripts(tab, paths):
    tab.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open(paths["awkward"])
        assert tab.value("document.querySelectorAll('button').length") == 0
        assert tab.value("document.querySelectorAll('table').length") >= 8
        text = tab.value("document.body.innerText")
    finally:
        tab.send("Emulation.setScriptExecutionDisabled", value=False)
    for part in ("Are the batches mixed?", "Better than before", "thermometer", "batch-key"):
        assert (part in text) == (part != "thermometer")


def test_it_prints(tab, paths, tmp_path):
    tab.open(paths["failed"])
    tab.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").stat().st_size > 10_000
