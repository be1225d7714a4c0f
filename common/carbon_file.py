"""Hours of a grid from a CSV: grams of CO2e per kWh, or the renewable share; docs/carbon.md."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from common.errors import InputError

HOUR = 3600
G_PER_KWH, SHARE = "g_per_kwh", "renewable_share"
MOST_G_PER_KWH = 2000.0
# Hours that a message names.
NAMED = 5


@dataclass(frozen=True)
class CarbonHours:
    """Hours without a gap.

    Parameters
    ----------
    path
        Their file.
    kind
        ``"g_per_kwh"`` or ``"renewable_share"``.
    first
        Begin of the first hour, Unix time in seconds.
    values
        Means of the hours: g CO2e per kWh, or shares from 0 to 1.
    """

    path: Path
    kind: str
    first: float
    values: tuple[float, ...]

    @property
    def end(self) -> float:
        """End of the last hour."""
        return self.first + HOUR * len(self.values)

    def covers(self, begin: float, end: float) -> bool:
        """Whether the file tells of all the time between these."""
        return self.first <= begin <= end <= self.end

    def mean(self, begin: float, end: float) -> float:
        """Mean from ``begin`` to ``end``, which it covers; at a moment, of its hour."""
        n = len(self.values)
        index = min(int((begin - self.first) // HOUR), n - 1)
        if end <= begin:
            return self.values[index]
        total, at = 0.0, begin
        while at < end:
            # By its number: sums of floats would drift off the hour.
            until = min(end, self.first + HOUR * (index + 1)) if index < n - 1 else end
            total += self.values[index] * (until - at)
            at, index = until, index + 1
        return total / (end - begin)

    def require_now(self, now: float) -> None:
        """See that it tells of this moment.

        Raises
        ------
        InputError
            It does not.
        """
        if self.first <= now < self.end:
            return
        year = datetime.fromtimestamp(now, UTC).year
        years = {datetime.fromtimestamp(at, UTC).year for at in (self.first, self.end - 1)}
        other = "" if year in years else ", so that it is of another year"
        raise InputError(
            f"{self.path} has the hours from {moment(self.first)} to {moment(self.end)}, and "
            f"now is {moment(now)}{other}: give a file with the hours of the run"
        )


def read_carbon_hours(path: str) -> CarbonHours:
    """The hours of a file; one that has not changed is read once by a process.

    Raises
    ------
    InputError
        It cannot be read, or is not as docs/carbon.md says: it names the line and the mend.
    """
    file = Path(path).expanduser().absolute()
    try:
        stat = file.stat()
        return _read(file, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        raise InputError(
            f"carbon-file {file} cannot be read: {error.strerror}: give the file's absolute path"
        ) from None
    except (UnicodeDecodeError, csv.Error):
        raise InputError(f"carbon-file {file} is not text: save it as CSV in UTF-8") from None


@lru_cache(maxsize=4)
def _read(path: Path, changed: int, size: int) -> CarbonHours:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [(number, row) for number, row in enumerate(csv.reader(file), 1) if any(row)]
    header = [name.strip() for name in rows[0][1]] if rows else []
    if header not in (["time", G_PER_KWH], ["time", SHARE]):
        raise InputError(
            f"carbon-file {path}: the first line is {','.join(header)!r}: make it "
            f"'time,{G_PER_KWH}' or 'time,{SHARE}'"
        )
    if len(rows) == 1:
        raise InputError(f"carbon-file {path} has no hour: give a line for each, as docs/carbon.md")
    kind, times, values = header[1], [], []
    for number, row in rows[1:]:
        where = f"carbon-file {path}, line {number}"
        if len(row) != 2:
            raise InputError(f"{where}: {len(row)} values: give a time and a {kind}")
        times.append(_time(row[0].strip(), where))
        values.append(_value(row[1].strip(), kind, where))
    _require_hourly(times, [number for number, _ in rows[1:]], path)
    # As kg, every value that is allowed as g would be below.
    if kind == G_PER_KWH and max(values) < MOST_G_PER_KWH / 1000:
        raise InputError(
            f"carbon-file {path}: no hour has more than {max(values):g} g CO2e per kWh, as if "
            "these were kg: give grams, 1000 times as many"
        )
    return CarbonHours(path, kind, times[0], tuple(values))


def _time(text: str, where: str) -> float:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"{where}: {text!r} is no time: write it as 2026-01-31T13:00+01:00"
        ) from None
    if time.tzinfo is None:
        raise InputError(
            f"{where}: {text!r} does not say its offset from UTC: write {text}Z, or as {text}+01:00"
        )
    if time.minute or time.second or time.microsecond:
        raise InputError(f"{where}: {text!r} is no full hour: give the mean of each hour")
    return time.timestamp()


def _value(text: str, kind: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where}: {kind} = {text!r} is no number: give one with a decimal point")
    most = MOST_G_PER_KWH if kind == G_PER_KWH else 1.0
    if not 0 <= value <= most:
        mend = {
            G_PER_KWH: "give grams of CO2e per kWh",
            SHARE: "give a share, of percents a hundredth",
        }[kind]
        raise InputError(f"{where}: {kind} = {value:g} is outside 0 to {most:g}: {mend}")
    return value


def _require_hourly(times: Sequence[float], lines: Sequence[int], path: Path) -> None:
    missing, named = 0, []
    for number in range(1, len(times)):
        step = times[number] - times[number - 1]
        where = f"carbon-file {path}, line {lines[number]}"
        if step == 0:
            raise InputError(
                f"{where}: the hour {moment(times[number])} is there twice, in the line before "
                "too: give it once; where the clocks change, offsets tell two hours apart"
            )
        if step < 0:
            raise InputError(
                f"{where}: {moment(times[number])} is earlier than the line before: sort the hours"
            )
        if step % HOUR:
            raise InputError(
                f"{where}: {moment(times[number])} is {step / 60:g} minutes after the line "
                "before: give every hour once"
            )
        gap = int(step // HOUR) - 1
        missing += gap
        after = range(1, 1 + min(gap, NAMED - len(named)))
        named += [moment(times[number - 1] + HOUR * k) for k in after]
    if missing:
        more = f" and {missing - len(named)} more" if missing > len(named) else ""
        raise InputError(
            f"carbon-file {path}: {missing} hours are missing: {', '.join(named)}{more}: give "
            "every hour; a gap is not guessed"
        )


def moment(time: float) -> str:
    """A Unix time as a reader says it."""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M} UTC"
