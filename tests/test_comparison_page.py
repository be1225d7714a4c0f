"""Table, drawing and page of a comparison."""

import csv
import json
from dataclasses import replace

import pytest
from rich.console import Console

from cli.compared_runs import ComparedRuns
from common.comparison.methods import methods_of
from common.comparison.plan import comparison_plan
from common.errors import InputError
from report import comparison_rows as rows
from report.comparison_chart import chart
from report.comparison_page import is_comparison, write_comparison, write_comparison_page
from report.comparison_rows import KG, KWH, unit_of
from report.comparison_table import comparison_table
from tests.browser import browser, chromium
from tests.compared import FOUR, Fake, method_of, plan, typical
from tests.small_sites import leftovers

FILES = ["compare.csv", "compare.png", "compare.svg", "report.html"]


def compared(out, of=typical, methods=FOUR, **choices):
    return ComparedRuns(plan(methods, **choices), out, Fake(of)).make()


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared") / "out"
    write_comparison(compared(folder), folder)
    return folder


@pytest.fixture(scope="module")
def record(out):
    return json.loads((out / "compare.json").read_text())


def table_of(record, width=80):
    screen = Console(width=width, highlight=False)
    with screen.capture() as captured:
        screen.print(comparison_table(record))
    return captured.get()


def test_the_table_says_what_each_method_gave_and_took(record):
    shown = table_of(record)
    assert max(map(len, shown.splitlines())) <= 80
    lines = {line.split()[0]: line for line in shown.splitlines() if line.strip()}
    assert lines["narrow-ring"].split()[:9] == [
        *("narrow-ring", "0.953", "0.933", "±0.002", "1.00", "±0.00", "0.502", "±0.000", "1,858"),
    ]
    flat = " ".join(shown.split())
    assert "Floor 0.880, the mean of baseline less 0.02, judged on validation cells." in flat
    assert "EAPS (macro-F1 per kg) alone would choose slow, which is below the floor." in flat
    assert "The first run, " in flat
    # Of both columns of figures.
    assert "estimated estimated EAPS" in flat
    assert "beaten by" in flat
    assert flat.count("on the") == 2


def test_an_energy_that_is_not_known_is_no_figure(tmp_path):
    def lost(values, number):
        return typical(values, number) | ({"kwh": None} if method_of(values) == "slow" else {})

    folder = tmp_path / "out"
    record = compared(folder, lost)
    shown = " ".join(table_of(record).split())
    assert "slow 0.263 0.243 ±0.002 not known not known –" in shown
    assert "Energy is not known: site-2 was lost." in shown
    write_comparison(record, folder)
    page = (folder / "report.html").read_text()
    assert "<strong>Energy is not known:</strong>\nsite-2 was lost." in page
    unknown = [row for row in table_rows(folder) if row["energy_source"] == "not known"]
    assert {row["method"] for row in unknown} == {"slow"}
    assert {row["kwh"] for row in unknown} == {row["kg"] for row in unknown} == {""}


def test_a_comparison_without_any_energy_has_no_drawing(tmp_path):
    folder = tmp_path / "out"
    record = compared(folder, lambda values, number: typical(values, number) | {"kwh": None})
    assert chart(record) is None
    write_comparison(record, folder)
    assert not (folder / "compare.svg").exists()
    assert "There is no drawing" in (folder / "report.html").read_text()


def page_of(record, folder):
    write_comparison(record, folder)
    return " ".join((folder / "report.html").read_text().split())


def table_rows(folder):
    with (folder / "compare.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_csv_has_a_row_per_run(out, record):
    found = table_rows(out)
    assert [row["counts"] for row in found] == ["no"] + ["yes"] * 12
    for row, run in zip(found[1:], record["runs"], strict=True):
        assert (row["method"], int(row["repeat"])) == (run["method"], run["repeat"] + 1)
        assert float(row["kwh"]) == run["energy"]["kwh"]
        assert float(row["kg"]) == run["energy"]["kg"]
        # Never one for the other.
        assert float(row["kg"]) == pytest.approx(float(row["kwh"]) / 2)
        assert float(row["sites_kwh"]) + float(row["coordinator_kwh"]) == pytest.approx(
            float(row["kwh"])
        )
        assert float(row["macro_f1"]) == run["quality"]["macro_f1"]
        assert row["energy_source"] == "estimated"
        assert (out / row["folder"] / "run.json").exists()


def test_the_page_is_made_again(out, record, tmp_path):
    assert is_comparison(out)
    before = (out / "report.html").read_text()
    for name in FILES:
        (out / name).unlink()
    assert write_comparison_page(out) == out / "report.html"
    assert all((out / name).exists() for name in FILES)
    assert leftovers(out) == []
    # But for the moment it was made.
    assert len((out / "report.html").read_text()) == len(before)
    assert not is_comparison(tmp_path)
    (tmp_path / "compare.json").write_text(json.dumps({**record, "status": "running"}))
    with pytest.raises(InputError, match="is not finished"):
        write_comparison_page(tmp_path)
    (tmp_path / "compare.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        write_comparison_page(tmp_path)


def test_the_page_says_where_figures_are_from(out):
    page = " ".join((out / "report.html").read_text().split())
    for text in (
        "baseline, narrow-ring</strong>",
        "Floor 0.880, the mean of baseline less 0.02, judged on validation cells.",
        "<strong>EAPS alone would choose slow,</strong> which is below the floor.",
        "Energy, Wh (estimated)",
        "Emissions, g CO2e (estimated)",
        "batch-size = 512</code>",
        "20 rounds of 512 cells",
        "does not count",
        "beaten by baseline, narrow-ring",
    ):
        assert text in page, text


def test_a_drawing_shows_every_method_and_is_the_same_each_time(record):
    drawn = chart(record)
    assert drawn == chart(record)
    text = drawn.decode()
    # Matplotlib notes what each outline spells.
    for name in (*record["methods"], "floor", "Energy of a run, Wh (estimated)"):
        assert f"<!-- {name}" in text, name
    assert chart(record, kind="png").startswith(b"\x89PNG")
    assert chart(record, theme="dark") != drawn


def test_measured_figures_are_called_so(tmp_path):
    def measured(values, number):
        return typical(values, number) | {"source": "measured"}

    record = compared(tmp_path / "out", measured)
    assert "<!-- (CPU measured, memory estimated)" in chart(record).decode()
    shown = [line.split() for line in table_of(record).splitlines()]
    assert ["CPU", "measured,"] * 2 in [line[-4:] for line in shown]
    assert "Energy, Wh (CPU measured, memory estimated)" in page_of(record, tmp_path / "out")
    mixed = {**record, "results": {**record["results"], "sources": ["estimated", "measured"]}}
    assert "(partly estimated)" in chart(mixed).decode()


@pytest.mark.parametrize(
    ("value", "units", "name"),
    [
        (2.0, KWH, "kWh"),
        (0.1, KWH, "kWh"),
        (0.099, KWH, "Wh"),
        (5e-5, KWH, "mWh"),
        (1e-9, KWH, "mWh"),
        (0.5, KG, "kg CO2e"),
        (5e-4, KG, "g CO2e"),
    ],
)
def test_units(value, units, name):
    assert unit_of([0.0, value], units).name == name
    assert unit_of([], units) == units[0]


def test_numbers():
    assert [rows.number(v) for v in (1234.5, 12.345, 0.0012345, 0.0, 99.96)] == [
        *("1,234", "12.3", "0.00123", "0.00", "100.0")
    ]
    assert [rows.signed(v) for v in (0.1, -0.1, -1e-9, 0.0)] == [
        "+0.100",
        "−0.100",
        "0.000",
        "0.000",
    ]
    method = {"differences": {"kwh": {"mean": -0.5, "low": -0.75, "high": 0.002}}}
    assert rows.change(method, "kwh", {"kwh": {"mean": 2.0}}) == "−25\u00a0% (−38 to 0)"
    assert not rows.is_clear(method, "kwh")
    assert rows.is_clear({"differences": {"kwh": {"mean": 2, "low": 1, "high": 3}}}, "kwh")


def test_no_clear_difference_is_said(tmp_path):
    def noisy(values, number):
        return typical(values, number) | {"kwh": 1e-3 * (1 + number % 3)}

    record = compared(tmp_path / "noisy", noisy, "baseline,narrow-ring")
    of = record["results"]["methods"]["narrow-ring"]["differences"]["kwh"]
    assert of["low"] <= 0 <= of["high"]
    assert "No method is shown to take more or less" in " ".join(table_of(record).split())
    clear = compared(tmp_path / "clear")
    assert "No method is shown" not in " ".join(table_of(clear).split())


@pytest.mark.skipif(chromium() is None, reason="no chromium: apt-get install chromium")
def test_the_page_in_a_browser(out, tmp_path):
    page = out / "report.html"
    with browser(tmp_path) as tab:
        for scheme in ("light", "dark"):
            for width in (360, 768, 1280):
                tab.open(page, width=width, prefers_color_scheme=scheme)
                assert tab.errors() == []
                assert {url.split(":")[0] for url in tab.requests()} <= {"file", "data"}
                assert tab.value("document.documentElement.scrollWidth") == width
                shown, alt = tab.value(
                    "[document.images[0].naturalWidth, document.images[0].alt.length]"
                )
                assert shown > 200
                assert alt > 100
                chosen = tab.value("document.images[0].currentSrc")
                place = [s.get("srcset") for s in sources(tab)].index(chosen) if chosen else -1
                assert place == PLACES[scheme, width > 560]


def sources(tab):
    return [
        *tab.value("[...document.querySelectorAll('source')].map(s => ({srcset: s.srcset}))"),
        {"srcset": tab.value("document.images[0].src")},
    ]


PLACES = {("dark", False): 0, ("light", False): 1, ("dark", True): 2, ("light", True): 3}


def test_a_correction_has_a_score_and_no_eaps(tmp_path):
    found = comparison_plan(
        {"task": "correct", "data": "/data", "rounds": 10}, methods_of("baseline,narrow-ring")
    )
    fake = Fake(lambda values, number: {**typical(values, number), "task": "correct"})
    record = ComparedRuns(found, tmp_path / "out", fake).make()
    write_comparison(record, tmp_path / "out")
    for shown in (table_of(record), (tmp_path / "out/report.html").read_text()):
        assert "EAPS" not in shown
        assert "test cells" not in shown
        assert "0.933" in shown
    assert "<!-- Score of the correction, of all sites' cells" in chart(record).decode()
    rows_of = table_rows(tmp_path / "out")
    assert [float(row["score"]) for row in rows_of[1:]] == [
        run["quality"]["score"] for run in record["runs"]
    ]


def test_a_target_that_was_missed_is_told(tmp_path):
    def missed(values, number):
        reached = None if (method_of(values), values["seed"]) == ("narrow-ring", 43) else 7
        return typical(values, number) | {"target_reached": reached}

    record = ComparedRuns(replace(plan(), target=0.8), tmp_path / "out", Fake(missed)).make()
    write_comparison(record, tmp_path / "out")
    page = " ".join((tmp_path / "out/report.html").read_text().split())
    assert "target not reached in 1 of 3" in page
    assert "until macro-F1 was 0.8 on validation cells" in page
    assert page.count(">never<") == 1
    assert "target not reached in 1 of 3" in " ".join(table_of(record).split())
