"""A run's progress, read from its folder: phases, rounds, loss, bytes."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

# About so many rounds of a run have a line.
MOST_LINES = 20

PHASES = {
    "describe": "sites describe themselves",
    "identities": "exchanging keys",
    "roll_call": "all sites are back",
    "moments": "choosing genes",
    "principal_axes": "pooled principal axes",
    "fixed_values": "sending what training does not change",
    "fit": "training",
    "peaks": "finding the largest batches",
    "latents": "decoder and reference means",
    "remainders": "what the network does not encode",
    "correct": "sites correct their cells",
    "labels": "agreeing on labels",
    "class_counts": "counting cells by class",
    "marker_genes": "genes that tell classes apart",
    "classifier_fit": "training",
    "classifier_fit_of_some": "training",
    "linear_gradient": "training",
    "bin_counts": "choosing bins of expression",
    "tree_sums": "growing trees",
    "bagged_trees": "growing trees",
    "validation": "scoring on validation cells",
    "temperature": "calibrating",
    "confidences": "a threshold for unknown",
    "held_out": "scoring on test cells",
    "noised_sums": "releasing sums with noise",
    "evaluation_axes": "evaluation: reconstruction, principal axes",
    "evaluation_moments": "evaluation: moments of cell types",
    "evaluation_features": "evaluation: differences between batches",
    "evaluation_probe": "evaluation: a probe of batches",
    "energy": "adding up what the run took",
}

# Of these a run has many rounds.
TRAINING = (
    "fit",
    "classifier_fit",
    "classifier_fit_of_some",
    "linear_gradient",
    "tree_sums",
    "bagged_trees",
)


class _Lines:
    """The lines that were added to a JSON-lines file since the last look."""

    def __init__(self, path: Path, only_new: bool = False):
        self.path = path
        self._offset = path.stat().st_size if only_new and path.exists() else 0

    def new(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            yield json.loads(line)


class RunProgress:
    """Shows a run: a live bar on a terminal, a line per step elsewhere.

    The loss shown is the validation loss of the model that the round started from; the training
    loss, of models that have fitted to one site each, does not tell how good the average is.

    Parameters
    ----------
    folder
        The run folder; it may not exist yet.
    console
        Where to show it.
    resumed
        The run goes on with an earlier one, whose lines are not shown again.
    """

    def __init__(self, folder: Path, console: Console, resumed: bool = False):
        self.console = console
        self._ledger = _Lines(folder / "ledger.jsonl", resumed)
        self._metrics = _Lines(folder / "metrics.jsonl", resumed)
        self._run_file = folder / "run.json"
        self._phase = ""
        self._bytes = 0
        self._loss: float | None = None
        self._validated = False
        self.news = False
        self._rounds = 0
        self._round = 0
        self._connected: dict[str, Any] = {}
        self._losses: dict[tuple[str, str], str] = {}
        if resumed:
            for loss in self._run().get("losses", []):
                self._losses[loss["site"], loss["time"]] = loss["returned"]
        self._started = time.monotonic()
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("starting Flower", total=None, detail="")

    def __enter__(self) -> "RunProgress":
        self._bar.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._bar.stop()

    def update(self) -> dict[str, Any]:
        """Show what is new, and note in ``news`` whether there was any.

        Returns
        -------
        ``run.json`` as it stands, {} before it exists.
        """
        run = self._run()
        self._rounds = run.get("n_rounds", 0)
        self.news = False
        # One look may find messages and rounds: they are told in the order they happened.
        lines = sorted([*self._ledger.new(), *self._metrics.new()], key=lambda line: line["time"])
        for line in lines:
            self.news = True
            if "phase" in line:
                self._tell_message(line)
            else:
                self._tell_round(line)
        self._tell_connected(run.get("connected", {}))
        self._tell_losses(run.get("losses", []))
        self._show(run)
        return run

    def _run(self) -> dict[str, Any]:
        return json.loads(self._run_file.read_text()) if self._run_file.exists() else {}

    def _tell_message(self, line: dict[str, Any]) -> None:
        self._bytes += line["bytes"]
        if line["phase"] in PHASES and line["phase"] != self._phase:
            self._phase = line["phase"]
            self._say(f"{PHASES[self._phase]} ({self._traffic})")

    def _tell_round(self, line: dict[str, Any]) -> None:
        self._round = line["round"]
        # A linear classifier ends where its optimum is.
        of = f"  round {self._round}{f' of {self._rounds}' if self._rounds else ''}"
        if "void" in line:
            self._say(f"{of}: {line['void']}")
            return
        if (validation := line["validation_loss_before"]) is not None:
            self._loss, self._validated = validation, True
        elif not self._validated:
            self._loss = line["train_loss"]
        every = max(1, self._rounds // MOST_LINES) if self._rounds else MOST_LINES
        if self._round % every and self._round != self._rounds:
            return
        loss = "" if self._loss is None else f"loss {self._loss:.4f}, "
        self._say(f"{of}: {loss}{line['n_sites']} sites, {line['seconds']:.1f} s")

    def _tell_connected(self, connected: dict[str, Any]) -> None:
        if connected and connected != self._connected and not self._phase:
            self._connected = connected
            of = f" of {connected['of']}" if connected["of"] else ""
            names = f" ({', '.join(connected['registered'])})" if connected["registered"] else ""
            text = f"{connected['sites']}{of} sites connected{names}"
            self._say(text)
            self._bar.update(self._task, description=text)

    def _tell_losses(self, losses: list[dict[str, Any]]) -> None:
        for loss in losses:
            known = self._losses.get((loss["site"], loss["time"]))
            if known is None:
                self._say(f"  lost {loss['site']}: {loss['reason']}")
            if loss["returned"] and not known:
                self._say(f"  {loss['site']} is back")
            self._losses[loss["site"], loss["time"]] = loss["returned"]

    @property
    def _traffic(self) -> str:
        return f"{self._bytes / 1e6:,.1f} MB sent"

    def _show(self, run: dict[str, Any]) -> None:
        if not self._phase:
            return
        details = [self._traffic]
        present = len(set(run.get("sites", {})) - set(run.get("lost_sites", {})))
        if present:
            details.insert(0, f"{present} sites")
        total = completed = None
        if self._phase in TRAINING and self._rounds:
            total, completed = self._rounds, self._round
            details.insert(0, f"round {min(self._round + 1, self._rounds)}/{self._rounds}")
            if self._loss is not None:
                details.insert(1, f"loss {self._loss:.4f}")
        self._bar.update(
            self._task,
            description=PHASES[self._phase],
            total=total,
            completed=completed or 0,
            detail=" · ".join(details),
        )

    def _say(self, text: str) -> None:
        if not self.console.is_terminal:
            seconds = time.monotonic() - self._started
            self.console.print(f"[{seconds:6.1f} s] {text}", markup=False)
