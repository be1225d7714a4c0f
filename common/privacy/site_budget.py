"""A site's own record of the privacy that its data sets have spent, on its disk.

A spend is reserved before its noise is drawn and counts from then on, whatever becomes of the
process or the run. The record is of a data set's name, which the site's policy gives: a name of
the content would make a new budget of every cell that is added.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from common.errors import BudgetError, ConfigError, DiskError
from common.privacy.budget import Budget
from common.privacy.spends import Spend, spend_of

FILE, LOCK, BEGUN = "privacy_budget.json", "privacy_budget.lock", "begun"
KEYS = {"dataset", "unit", "release", "time", "state", "spends"}


@dataclass(frozen=True)
class Whole:
    """What a release is a part of, such as a run, with a budget of its own.

    Parameters
    ----------
    begin
        With which the names of its releases begin.
    epsilon, delta
        That they keep to together.
    rest
        What its releases to come will take.
    """

    begin: str
    epsilon: float
    delta: float
    rest: Sequence[Spend] = ()


class SiteBudget:
    """One data set's budget.

    Parameters
    ----------
    folder
        Where ``privacy_budget.json`` is, for all data sets of the site.
    dataset
        The policy's name of the data.
    unit
        Who is protected: "record" or "donor".
    epsilon, delta
        The policy's. They may be changed; what is spent stays.

    Raises
    ------
    ConfigError
        There is no name or no unit, or epsilon or delta is absurd.
    """

    def __init__(self, folder: Path, dataset: str, unit: str, epsilon: float, delta: float):
        Budget(epsilon, delta)
        if not dataset.strip():
            raise ConfigError(
                "a privacy budget is of a named data set; set dataset = NAME in the site's policy "
                "and keep it when cells are added"
            )
        if unit not in ("record", "donor"):
            raise ConfigError(f"privacy unit {unit!r} must be record or donor")
        self.folder, self.path = folder, folder / FILE
        self.dataset, self.unit, self.epsilon, self.delta = dataset, unit, epsilon, delta

    def spent(self) -> float:
        """Epsilon spent and reserved so far at the budget's delta.

        Raises
        ------
        ConfigError
            The record is damaged, or is of another unit.
        DiskError
            It cannot be locked.
        """
        with self._locked() as lock:
            return self._budget(self._read(lock)).spent

    def holds(self, release: str) -> bool:
        """Whether a release was reserved, or made.

        Raises
        ------
        ConfigError, DiskError
            As of :meth:`spent`.
        """
        with self._locked() as lock:
            return any(line["release"] == release for line in self._own(self._read(lock)))

    def require_room(self, spends: Sequence[Spend]) -> None:
        """Refuse what could not be reserved now; nothing is.

        Raises
        ------
        BudgetError
            The budget would be exceeded.
        ConfigError, DiskError
            As of :meth:`spent`.
        """
        with self._locked() as lock:
            self._spend(self._budget(self._read(lock)), spends)

    def reserve(self, release: str, spends: Sequence[Spend], whole: Whole | None = None) -> float:
        """Set a spend aside, before its noise is drawn. It counts even if it is never committed.

        What it needs is checked and taken under one lock: of two that ask at once each sees what
        the other took.

        Parameters
        ----------
        release
            Its own name, such as RUN/PHASE/ATTEMPT; each takes new noise and so is paid anew.
        spends
            What it takes.
        whole
            What it is a part of: not begun where it could not be paid to its end.

        Returns
        -------
        Epsilon spent with it.

        Raises
        ------
        BudgetError
            The budget, or the whole's own, would be exceeded; or the release has been paid and
            made before.
        ConfigError
            The record is damaged, or is of another unit.
        DiskError
            It cannot be written: nothing may be released.
        """
        if not spends:
            raise ConfigError(f"release {release} states no spend")
        with self._locked() as lock:
            lines = self._read(lock)
            if whole:
                spends_to_end = [*spends, *whole.rest]
                self._spend(self._budget(lines), spends_to_end)
                taken = self._spends_of(lines, whole.begin)
                _spend_of_run(Budget(whole.epsilon, whole.delta, taken), spends_to_end, release)
            if any(line["release"] == release for line in self._own(lines)):
                raise BudgetError(
                    f"release {release} was made before: a second answer has other noise and "
                    "must be paid as another release; run again"
                )
            total = self._spend(self._budget(lines), spends)
            records = [spend.model_dump() for spend in spends]
            line = {"dataset": self.dataset, "unit": self.unit, "release": release}
            line |= {"time": _now(), "state": "reserved", "spends": records}
            self._write(lock, [*lines, line])
            return total

    def commit(self, release: str) -> None:
        """Note that a reserved release has left the site.

        Raises
        ------
        BudgetError
            It was not reserved, or is committed already.
        ConfigError
            The record is damaged.
        DiskError
            It cannot be written; the spend counts all the same.
        """
        with self._locked() as lock:
            lines = self._read(lock)
            for line in self._own(lines):
                if line["release"] == release and line["state"] == "reserved":
                    line["state"] = "committed"
                    self._write(lock, lines)
                    return
        raise BudgetError(f"release {release} is not reserved: reserve it before it is made")

    def _spend(self, budget: Budget, spends: Sequence[Spend]) -> float:
        try:
            return budget.spend(*spends)
        except BudgetError as error:
            raise BudgetError(
                f"data set {self.dataset}: {error} (or raise the policy's max-epsilon)",
                # What was spent tells of runs with others.
                public="policy rule privacy budget: this release would cost more than is left "
                "of these cells' budget; ask for a smaller epsilon, or go on without the site",
            ) from None

    def _own(self, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [line for line in lines if line["dataset"] == self.dataset]

    def _spends_of(self, lines: list[dict[str, Any]], begin: str = "") -> list[Spend]:
        named = [line for line in self._own(lines) if line["release"].startswith(begin)]
        return [spend_of(record) for line in named for record in line["spends"]]

    def _budget(self, lines: list[dict[str, Any]]) -> Budget:
        if others := {line["unit"] for line in self._own(lines)} - {self.unit}:
            # A record's epsilon says nothing of a donor's.
            raise ConfigError(
                f"data set {self.dataset} has spent its budget per {others.pop()}, and "
                f"{self.unit} is asked for; keep to one unit"
            )
        return Budget(self.epsilon, self.delta, self._spends_of(lines))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[IO[str]]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / LOCK).open("a+")
        except OSError as error:
            raise DiskError(self.folder, error) from None
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file

    def _read(self, lock: IO[str]) -> list[dict[str, Any]]:
        lock.seek(0)
        begun = bool(lock.read())
        try:
            content = json.loads(self.path.read_text())
            lines = content["releases"]
            if content["sha256"] != _digest(lines):
                raise ValueError("it was changed by hand or by a fault (its sha256 differs)")
            if not all(isinstance(line, dict) and set(line) == KEYS for line in lines):
                raise ValueError("a release is not complete")
            for line in lines:
                for record in line["spends"]:
                    spend_of(record)
            return lines
        except FileNotFoundError:
            if not begun:
                return []
            fault = "it is gone"
        except (OSError, ValueError, TypeError, KeyError, ConfigError) as error:
            fault = str(error) if not isinstance(error, KeyError) else f"it has no {error}"
        # Going on without it would spend the same privacy twice.
        raise ConfigError(
            f"{self.path} cannot be used: {fault}; put back its backup: without it nobody knows "
            "what these cells have spent, and nothing is released"
        )

    def _write(self, lock: IO[str], lines: list[dict[str, Any]]) -> None:
        text = json.dumps({"sha256": _digest(lines), "releases": lines}, indent=1)
        try:
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".budget-") as partial:
                temporary = Path(partial) / FILE
                with temporary.open("w") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(self.path)
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
            lock.seek(0)
            if not lock.read():
                # From now on an absent record is a lost one.
                lock.write(BEGUN)
                lock.flush()
                os.fsync(lock.fileno())
        except OSError as error:
            raise DiskError(self.path, error) from None


def _spend_of_run(budget: Budget, spends: Sequence[Spend], release: str) -> None:
    try:
        budget.spend(*spends)
    except BudgetError as error:
        raise BudgetError(
            f"release {release}, with its run's others: {error}",
            # Whoever runs it has asked for all of them.
            public="policy rule privacy budget: this release and those after it would cost more "
            f"than the run's own epsilon = {budget.epsilon:g} leaves; begin another run",
        ) from None


def _digest(lines: Any) -> str:
    return hashlib.sha256(json.dumps(lines, sort_keys=True).encode()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
