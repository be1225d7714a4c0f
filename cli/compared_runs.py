"""The runs of a comparison one after the other, and what each gave, kept after every one."""

import json
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common.comparison.plan import ComparisonPlan
from common.comparison.results import results
from common.comparison.schedule import blocks, seed_of
from common.comparison.work import require_whole_steps
from common.errors import ConfigError, RunError, SyncytiumError
from common.machine import machine
from common.power import POWER, power_model
from report.compared_run import QUALITY, figures_of_run

FILE = "compare.json"
RUNS, WARM_UP = "runs", "warm-up"
# What a comparison leaves that was cut before its first run was done.
CUT = {WARM_UP, "flower.log", POWER}
SAME_MACHINE = ("name", "cpu", "n_threads")
# Runs a method with these settings in a folder; returns its ``run.json``.
RunOnce = Callable[[dict[str, Any], Path], dict[str, Any]]
logger = logging.getLogger("syncytium.compare")


class ComparedRuns:
    """A comparison's runs and their record.

    Every session of it begins with a run that does not count: the first of a process finds cold
    caches and clocks, and would be held against its method.

    Parameters
    ----------
    plan
        What is compared.
    out
        Receives ``compare.json``, the discarded runs, and ``runs``.
    run_once
        Makes one run.
    tell
        Is called before each run with its number, the number of all, its words, and the seconds
        that all still to come are expected to take, None before any is known.
    resume
        Go on with the runs that ``out`` has.

    Raises
    ------
    RunError
        ``out`` holds a comparison and is not to be resumed, or none that could be.
    ConfigError
        That comparison was another.
    """

    def __init__(
        self,
        plan: ComparisonPlan,
        out: Path,
        run_once: RunOnce,
        tell: Callable[[int, int, str, float | None], None] = lambda *_: None,
        *,
        resume: bool = False,
    ):
        self.plan, self.out, self.run_once, self.tell = plan, out, run_once, tell
        order = blocks(list(plan.works), plan.repeats, plan.seed)
        self.record: dict[str, Any] = {
            **plan.values,
            "status": "running",
            "order": order,
            "machine": machine(),
            "warm_ups": [],
            "runs": [],
        }
        earlier = self._earlier(resume)
        self.record["power"] = json.loads(json.dumps(asdict(power_model(out))))
        if earlier:
            self._require_same(earlier)
            kept = ("runs", "warm_ups", "versions")
            self.record |= {key: earlier[key] for key in kept if key in earlier}
        done = {(run["repeat"], run["method"]) for run in self.record["runs"]}
        self.to_do = [
            (repeat, name)
            for repeat, names in enumerate(order)
            for name in names
            if (repeat, name) not in done
        ]

    def _earlier(self, resume: bool) -> dict[str, Any]:
        path = self.out / FILE
        if not resume:
            if path.exists():
                raise RunError(
                    f"{self.out} holds a comparison already; go on with it by --resume, give --out "
                    "another folder, or remove it"
                )
            others = {path.name for path in self.out.glob("*")} - CUT
            if others:
                raise RunError(
                    f"{self.out} is not empty ({min(others)}): give --out a folder of its own"
                )
            return {}
        try:
            return json.loads(path.read_text())
        except FileNotFoundError:
            raise RunError(
                f"{self.out} holds no comparison to resume; leave out --resume"
            ) from None
        except ValueError as error:
            raise RunError(
                f"{path} cannot be read: {error}; begin anew in another folder"
            ) from None

    def _require_same(self, earlier: dict[str, Any]) -> None:
        """All but the repeats, of which there may be more; the power is of the same counters."""
        now = json.loads(json.dumps(self.record))
        same = ("power", *(key for key in self.plan.values if key != "repeats"))
        pairs = {key: (earlier[key], now[key]) for key in same}
        for key in SAME_MACHINE:
            pairs[f"machine's {key}"] = earlier["machine"][key], now["machine"][key]
        for key, (before, after) in pairs.items():
            if before != after:
                raise ConfigError(
                    f"the comparison in {self.out} has another {key.replace('_', '-')}: "
                    f"{_difference(before, after)}; resume it as it was begun, or begin anew in "
                    "another folder"
                )
        made = max((run["repeat"] for run in earlier["runs"]), default=-1) + 1
        if made > self.plan.repeats:
            raise ConfigError(
                f"--repeats {self.plan.repeats}: the comparison in {self.out} has {made} already"
            )

    def make(self) -> dict[str, Any]:
        """Make the runs that are missing; returns the record with its ``results``.

        Raises
        ------
        RunError
            A run failed. What was measured before it is kept.
        ConfigError
            The first run shows that the methods' work is not equal.
        """
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"the folder {self.out} cannot be made: {error}") from None
        if self.to_do:
            self._warm_up()
        of_all, per_run = len(self.record["runs"]) + len(self.to_do), _seconds(self.record)
        while self.to_do:
            repeat, name = self.to_do[0]
            number = of_all - len(self.to_do) + 1
            left = per_run * len(self.to_do) if per_run else None
            self.tell(number, of_all, f"{name}, repeat {repeat + 1} of {self.plan.repeats}", left)
            folder = self.out / RUNS / f"{repeat + 1}-{name}"
            run = self._run(name, repeat, folder, f"run {number} of {of_all}")
            self.record["runs"].append(run)
            self.to_do.pop(0)
            self._write()
            per_run = _seconds(self.record)
        quality, _ = QUALITY[self.plan.task]
        self.record |= {"status": "finished", "results": results(self.record, quality)}
        self._write()
        return self.record

    def _warm_up(self) -> None:
        repeat, name = self.to_do[0]
        number = len(self.record["warm_ups"]) + 1
        folder = self.out / (f"{WARM_UP}-{number}" if number > 1 else WARM_UP)
        self.tell(0, len(self.record["runs"]) + len(self.to_do), f"{name}, to warm up", None)
        run = self._run(name, repeat, folder, "the run to warm up")
        if not self.plan.target:
            require_whole_steps(self.plan.works, run["n_train"], run["n_sites"])
        self.record["warm_ups"].append(run)
        self._write()

    def _run(self, name: str, repeat: int, folder: Path, what: str) -> dict[str, Any]:
        # What a session that was cut left there: its energy is not that of a whole run.
        shutil.rmtree(folder, ignore_errors=True)
        seed = seed_of(self.plan.seed, repeat)
        start = time.monotonic()
        try:
            result = self.run_once({**self.plan.settings[name], "seed": seed}, folder)
            if result.get("status") != "finished":
                raise RunError(result.get("error") or "it did not finish")
        except SyncytiumError as error:
            raise RunError(
                f"{what} ({name}) failed: {error}. What was measured before it is in {self.out}: "
                "the same command with --resume goes on with it"
            ) from error
        seconds = time.monotonic() - start
        self._note_versions(result)
        figures = figures_of_run(folder, result)
        passes = self.plan.works[name].passes(figures["rounds"], figures["n_train"])
        return {
            "method": name,
            "repeat": repeat,
            "seed": seed,
            "folder": str(folder.relative_to(self.out)),
            "started": result.get("started"),
            "seconds": seconds,
            "passes": passes,
            **figures,
        }

    def _note_versions(self, result: dict[str, Any]) -> None:
        """Of the first run; a later one must have the same."""
        versions = result.get("versions", {})
        if (before := self.record.setdefault("versions", versions)) != versions:
            raise ConfigError(
                f"the comparison in {self.out} was begun with other versions: "
                f"{_difference(before, versions)}; resume it with those, or begin anew"
            )

    def _write(self) -> None:
        partial = self.out / f".{FILE}.part"
        partial.write_text(json.dumps(self.record, indent=1, allow_nan=False))
        partial.replace(self.out / FILE)


def _seconds(record: dict[str, Any]) -> float | None:
    """Of a run, by those so far; the one that warms up counts until there is another."""
    runs = record["runs"] or record["warm_ups"]
    return sum(run["seconds"] for run in runs) / len(runs) if runs else None


def _difference(before: Any, now: Any) -> str:
    """What differs, of tables their first entry that does."""
    if isinstance(before, dict) and isinstance(now, dict):
        key = next(k for k in {**before, **now} if before.get(k) != now.get(k))
        return f"{key}: {_difference(before.get(key), now.get(key))}"
    return f"{before!r}, now {now!r}"
