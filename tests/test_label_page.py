"""The page of a site that labelled its cells, and the confusion matrix on a classifier's page."""

import shutil

import h5py
import numpy as np
import pytest

from cli.report import show_report
from client.labelling import label
from common.errors import InputError
from report.label_page import write_label_page
from report.page import NAME
from report.run_page import write_run_page
from tests.browser import browser, chromium
from tests.classified import classify, labelled_sites
from tests.small_sites import site, write_sites

CELLS = {("t", "A"): 60, ("t", "B"): 50, ("u", "C"): 45, ("u", "D"): 12}


def later(folder, **columns):
    data = site(CELLS, seed=9)
    for name, values in columns.items():
        data.obs[name] = values
    folder.mkdir()
    data.write_h5ad(folder / "later.h5ad")
    return folder / "later.h5ad"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run, a site with labels of its own, and one without."""
    folder = tmp_path_factory.mktemp("label-page")
    data = write_sites(folder / "data", labelled_sites())
    classify(folder / "run", data, 3, rare_labels="leave-out")
    named = later(folder / "named")
    bare = later(folder / "bare", cell_type=np.nan)
    for file, least in ((named, 0.93), (bare, None)):
        reading = {"report": file == named}
        done = label(
            folder / "run/bundle",
            file,
            file.parent / "out",
            settings={},
            reading=reading,
            min_confidence=least,
        )
        assert done.page_fault == ""
    return folder


def text_of(path):
    return " ".join(path.read_text().split())


def test_the_page_is_made_in_a_process_of_its_own_and_says_how_it_went(folder):
    out = folder / "named/out"
    text = text_of(out / NAME)
    assert "167 labelled cells of this site" in text
    assert "UMAP of 167 cells coloured by answer (A " in text
    assert "coloured by confidence (" in text
    assert "coloured by own label (A 60, B 50, C 45, D 12)" in text
    assert "155 cells have a label in obs[&#39;cell_type&#39;] that the classifier knows" in text
    assert "12 cells have a label that is none of its classes" in text
    assert "as too few sites of its run held them: D." in text
    for region in ("Cells by answer", "Figures by class", "Confusion matrix"):
        assert f'tabindex="0" role="region" aria-label="{region}"' in text
    assert (out / NAME).stat().st_mode == (out / "labelled.h5ad").stat().st_mode


def test_without_own_labels_nothing_is_compared(folder):
    assert not (folder / "bare/out" / NAME).exists()
    text = text_of(write_label_page(folder / "bare/out"))
    assert text.count("<img") == 2
    assert "Confusion matrix" not in text
    assert "own label" not in text


def test_the_report_command_makes_it_again(folder, tmp_path, capsys):
    from rich.console import Console

    shutil.copy(folder / "bare/out/labelled.h5ad", tmp_path)
    show_report(tmp_path, Console(width=200))
    assert "report.html" in capsys.readouterr().out
    assert "labelled cells of this site" in (tmp_path / NAME).read_text()


def test_what_another_program_wrote_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match="`syncytium label` did not write it"):
        write_label_page(tmp_path)
    shutil.copy(folder / "bare/later.h5ad", tmp_path / "labelled.h5ad")
    with pytest.raises(InputError, match="give the folder that was its --out"):
        write_label_page(tmp_path)


def test_without_pictures_the_rest_is_said(folder, tmp_path):
    shutil.copy(folder / "bare/out/labelled.h5ad", tmp_path)
    with h5py.File(tmp_path / "labelled.h5ad", "r+") as file:
        del file["uns/syncytium_classifier/scale_sd"]
    text = text_of(write_label_page(tmp_path))
    assert "There are no pictures: KeyError" in text
    assert "Median confidence" in text


def test_the_runs_page_shows_which_classes_are_taken_for_which(folder):
    text = text_of(write_run_page(folder / "run", pictures=False))
    assert "Which classes are taken for which" in text
    assert "test cells of all sites" in text.lower()
    assert 'class="number shade-5 right"' in text


@pytest.mark.skipif(chromium() is None, reason="no chromium on this machine")
def test_pages_in_a_browser(folder, tmp_path):
    pages = {
        "label": folder / "named/out" / NAME,
        "run": write_run_page(folder / "run", pictures=False),
    }
    with browser(tmp_path / "chromium") as tab:
        for name, path in pages.items():
            for width, scheme in ((360, "dark"), (1280, "light")):
                tab.open(path, width=width, prefers_color_scheme=scheme)
                assert tab.errors() == []
                assert tab.value("document.documentElement.scrollWidth") == width
                boxes = tab.value(
                    "[...document.querySelectorAll('table')]"
                    ".map(t => t.closest('.scroll')?.tabIndex ?? -1)"
                )
                assert set(boxes) == {0}
                tab.picture(tmp_path / f"{name}-{width}.png")
        tab.open(pages["label"])
        images = tab.value("[...document.images].map(i => [i.naturalWidth, i.alt.length])")
        assert len(images) == 3
        assert all(width > 0 and length > 40 for width, length in images)
        shades = tab.value(
            "[...document.querySelectorAll('.matrix .right')]"
            ".map(c => getComputedStyle(c).backgroundColor)"
        )
        assert all(colour != "rgba(0, 0, 0, 0)" for colour in shades)
    assert len(np.unique(shades)) >= 1
