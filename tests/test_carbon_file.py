"""A site's file of its grid's hours: read as documented, each fault named with its mend."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from common.carbon_file import CarbonHours, read_carbon_hours
from common.errors import InputError
from tests.carbon_files import HOUR, carbon_csv

ROOT = Path(__file__).parent.parent
DAY = datetime(2026, 3, 28, tzinfo=UTC).timestamp()
GOOD = ["2026-03-28T00:00Z,300", "2026-03-28T01:00Z,310", "2026-03-28T02:00Z,320"]


def write(path, rows, header="time,g_per_kwh"):
    path.write_text("\n".join([header, *rows]) + "\n")
    return str(path)


def test_hours_across_a_change_of_clocks(tmp_path):
    rows = [
        "2026-10-25T01:00+02:00,100",
        "2026-10-25T02:00+02:00,200",
        "",
        "2026-10-25T02:00+01:00, 300",
        "2026-10-25T02:00+00:00,400.5",
    ]
    hours = read_carbon_hours(write(tmp_path / "a.csv", rows))
    assert hours.values == (100.0, 200.0, 300.0, 400.5)
    assert hours.first == datetime(2026, 10, 24, 23, tzinfo=UTC).timestamp()
    assert hours.end - hours.first == 4 * HOUR


def test_excel_s_byte_order_mark_and_line_ends(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("\ufefftime,renewable_share\r\n2026-03-28T00:00+05:30,0.25\r\n".encode())
    hours = read_carbon_hours(str(path))
    assert (hours.kind, hours.values) == ("renewable_share", (0.25,))


@pytest.mark.parametrize(
    ("rows", "header", "told"),
    [
        (GOOD, "time,intensity", "first line is 'time,intensity': make it 'time,g_per_kwh'"),
        (GOOD, "time;g_per_kwh", "make it 'time,g_per_kwh'"),
        ([], "", "first line is ''"),
        ([], "time,g_per_kwh", "has no hour"),
        (["2026-03-28T00:00,300"], "time,g_per_kwh", "line 2: .* does not say its offset from UTC"),
        (["28.03.2026 00:00,300"], "time,g_per_kwh", "line 2: '28.03.2026 00:00' is no time"),
        (["2026-03-28T00:15Z,300"], "time,g_per_kwh", "line 2: .* is no full hour"),
        (["2026-03-28T00:00Z,300,1"], "time,g_per_kwh", "line 2: 3 values"),
        (["2026-03-28T00:00Z,n/a"], "time,g_per_kwh", "line 2: g_per_kwh = 'n/a' is no number"),
        (["2026-03-28T00:00Z,nan"], "time,g_per_kwh", "line 2: g_per_kwh = 'nan' is no number"),
        (["2026-03-28T00:00Z,"], "time,g_per_kwh", "line 2: g_per_kwh = '' is no number"),
        (["2026-03-28T00:00Z,-3"], "time,g_per_kwh", "line 2: g_per_kwh = -3 is outside 0 to 2000"),
        (["2026-03-28T00:00Z,3e5"], "time,g_per_kwh", "is outside 0 to 2000: give grams"),
        (
            ["2026-03-28T00:00Z,55"],
            "time,renewable_share",
            "= 55 is outside 0 to 1: .* percents a hundredth",
        ),
        (["2026-03-28T00:00Z,-0.1"], "time,renewable_share", "= -0.1 is outside 0 to 1"),
        ([*GOOD, GOOD[-1]], "time,g_per_kwh", "line 5: the hour 2026-03-28 02:00 UTC is there twi"),
        ([*GOOD, GOOD[0]], "time,g_per_kwh", "line 5: .* is earlier than the line before: sort"),
        (["2026-03-28T00:00Z,.3", "2026-03-28T01:00Z,.4"], "time,g_per_kwh", "as if these were kg"),
        (
            ["2026-03-28T00:00+00:00,300", "2026-03-28T02:00+00:30,310"],
            "time,g_per_kwh",
            "line 3: .* is 90 minutes after",
        ),
        (
            [*GOOD, "2026-03-28T05:00Z,1"],
            "time,g_per_kwh",
            r"2 hours are missing: 2026-03-28 03:00 UTC, 2026-03-28 04:00 UTC: give every hour",
        ),
        (
            [*GOOD, "2027-03-28T02:00Z,1"],
            "time,g_per_kwh",
            r"8759 hours are missing: 2026-03-28 03:00 UTC, .* 07:00 UTC and 8754 more:",
        ),
    ],
)
def test_a_fault_is_named_with_its_mend(tmp_path, rows, header, told):
    with pytest.raises(InputError, match=told):
        read_carbon_hours(write(tmp_path / "a.csv", rows, header))


def test_files_that_are_none(tmp_path):
    with pytest.raises(InputError, match=r"No such file or directory: give .* absolute path"):
        read_carbon_hours(str(tmp_path / "none.csv"))
    with pytest.raises(InputError, match="Is a directory"):
        read_carbon_hours(str(tmp_path))
    (tmp_path / "a.csv").write_bytes(b"PK\x03\x04\xff\xfe\x00")
    with pytest.raises(InputError, match="is not text"):
        read_carbon_hours(str(tmp_path / "a.csv"))


def test_a_file_that_does_not_tell_of_now(tmp_path):
    hours = read_carbon_hours(write(tmp_path / "a.csv", GOOD))
    for good in (DAY, DAY + 3 * HOUR - 1):
        hours.require_now(good)
    for bad in (DAY - 1, DAY + 3 * HOUR):
        with pytest.raises(
            InputError, match=r"hours from 2026-03-28 00:00 UTC to 2026-03-28 03:00"
        ):
            hours.require_now(bad)
    with pytest.raises(
        InputError, match=r"now is 2027-03-28 01:00 UTC, so that it is of another year: give"
    ):
        hours.require_now(datetime(2027, 3, 28, 1, tzinfo=UTC).timestamp())


def test_a_changed_file_is_read_again(tmp_path):
    path = carbon_csv(tmp_path / "a.csv", DAY, [100])
    assert read_carbon_hours(str(path)).values == (100.0,)
    carbon_csv(path, DAY, [100, 200])
    assert read_carbon_hours(str(path)).values == (100.0, 200.0)


def test_mean_over_hours():
    rng = np.random.default_rng(3)
    hours = CarbonHours(Path("a.csv"), "g_per_kwh", DAY, tuple(rng.uniform(50, 700, 30)))
    seconds = np.repeat(hours.values, HOUR)
    for _ in range(200):
        begin, end = np.sort(rng.choice(30 * HOUR + 1, 2, replace=False))
        assert hours.mean(DAY + begin, DAY + end) == pytest.approx(seconds[begin:end].mean())
    for at in (0, 1, HOUR - 1, HOUR, 30 * HOUR - 1):
        assert hours.mean(DAY + at, DAY + at) == hours.values[at // HOUR]
    assert hours.mean(DAY + 29.5 * HOUR, hours.end) == hours.values[-1]


def test_the_example_is_a_good_file():
    hours = read_carbon_hours(str(ROOT / "conf" / "carbon-example.csv"))
    assert (hours.kind, len(hours.values)) == ("g_per_kwh", 168)
