"""The progress of a run, as it is read from its folder."""

import io
import json

import pytest
from rich.console import Console

from cli.progress import PHASES, RunProgress
from tests.small_sites import OPTIONAL, federate, three_sites, write_sites


class Folder:
    """A run folder that is written to by hand, and its progress on a console."""

    def __init__(self, path, **console):
        self.path = path
        self.clock = 0
        self.screen = io.StringIO()
        self.progress = RunProgress(path, Console(file=self.screen, width=100, **console))

    def append(self, name, *lines, end="\n"):
        self.path.mkdir(exist_ok=True)
        with (self.path / name).open("a") as file:
            file.write("\n".join(map(json.dumps, lines)) + end)

    def now(self):
        self.clock += 1
        return f"2026-11-21T10:00:{self.clock:06.3f}+00:00"

    def message(self, phase, n_bytes):
        self.append("ledger.jsonl", {"time": self.now(), "phase": phase, "bytes": n_bytes})

    def round(self, number, loss, train_loss=0.75):
        line = {"round": number, "validation_loss_before": loss, "train_loss": train_loss}
        line |= {"n_sites": 4}
        self.append("metrics.jsonl", {"time": self.now(), **line, "seconds": 1.26})

    def run(self, **entries):
        self.path.mkdir(exist_ok=True)
        (self.path / "run.json").write_text(json.dumps(entries))

    def said(self):
        """What was said since the last look."""
        text = self.screen.getvalue()
        self.screen.seek(0)
        self.screen.truncate()
        return [line.partition("s] ")[2] for line in text.splitlines()]


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "run")


def test_who_is_connected_before_it_begins(folder):
    folder.run(connected={"sites": 1, "of": 4, "registered": ["bern"]})
    folder.progress.update()
    folder.progress.update()
    folder.run(connected={"sites": 2, "of": 0, "registered": []})
    folder.progress.update()
    assert folder.said() == ["1 of 4 sites connected (bern)", "2 sites connected"]
    folder.message("describe", 10)
    folder.progress.update()
    folder.run(connected={"sites": 3, "of": 0, "registered": []})
    folder.progress.update()
    assert folder.said() == ["sites describe themselves (0.0 MB sent)"]


def test_a_folder_that_is_not_there_yet(folder):
    assert folder.progress.update() == {}
    assert folder.progress.news is False
    assert folder.said() == []


def test_what_was_read_is_not_read_again(folder):
    folder.message("describe", 2_000_000)
    folder.message("describe", 1_000_000)
    folder.progress.update()
    assert folder.progress.news is True
    assert folder.said() == ["sites describe themselves (2.0 MB sent)"]
    folder.progress.update()
    assert folder.progress.news is False
    assert folder.said() == []
    folder.message("moments", 1_500_000)
    folder.progress.update()
    assert folder.progress.news is True
    # All three messages, each counted once.
    assert folder.said() == ["choosing genes (4.5 MB sent)"]


def test_a_half_written_line_is_left_for_the_next_look(folder):
    folder.message("describe", 1_000_000)
    half = {"time": folder.now(), "phase": "moments", "bytes": 2_000_000}
    folder.append("ledger.jsonl", half, end="")
    folder.progress.update()
    assert folder.said() == ["sites describe themselves (1.0 MB sent)"]
    folder.progress.update()
    assert folder.progress.news is False
    folder.append("ledger.jsonl", end="\n")
    folder.progress.update()
    assert folder.progress.news is True
    assert folder.said() == ["choosing genes (3.0 MB sent)"]


def test_a_line_may_be_cut_anywhere(folder):
    folder.run(n_rounds=2)
    entry = {"time": folder.now(), "phase": "Größe", "bytes": 3_000_000}
    line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
    ledger = folder.path / "ledger.jsonl"
    for byte in line:
        assert folder.progress.update() == {"n_rounds": 2}
        assert folder.progress.news is False
        with ledger.open("ab") as file:
            file.write(bytes([byte]))
    folder.progress.update()
    assert folder.progress.news is True
    folder.message("fit", 0)
    folder.progress.update()
    assert folder.said() == ["training (3.0 MB sent)"]


def test_rounds_and_their_loss(folder):
    folder.run(n_rounds=3)
    # Sites too small for validation cells have a training loss alone.
    folder.round(1, None)
    folder.progress.update()
    assert folder.said() == ["  round 1 of 3: loss 0.7500, 4 sites, 1.3 s"]
    folder.round(1, 0.5)
    folder.progress.update()
    assert folder.said() == ["  round 1 of 3: loss 0.5000, 4 sites, 1.3 s"]
    # Not every round validates.
    folder.round(2, None)
    folder.round(3, 0.25)
    folder.progress.update()
    expected = [
        "  round 2 of 3: loss 0.5000, 4 sites, 1.3 s",
        "  round 3 of 3: loss 0.2500, 4 sites, 1.3 s",
    ]
    assert folder.said() == expected


def test_of_many_rounds_one_in_some_and_the_last_have_a_line(folder):
    folder.run(n_rounds=69)
    for round_ in range(1, 70):
        folder.round(round_, 0.5)
    folder.progress.update()
    told = [int(line.split()[1]) for line in folder.said()]
    assert told == [*range(3, 69, 3), 69]


def test_a_round_that_does_not_count(folder):
    folder.run(n_rounds=2)
    line = {"time": folder.now(), "round": 1, "void": "does not count: site-2: diverged"}
    folder.append("metrics.jsonl", line)
    folder.progress.update()
    assert folder.said() == ["  round 1 of 2: does not count: site-2: diverged"]


LOSS = {"site": "b", "time": "10:00", "reason": "no answer within 5 s", "returned": ""}


def test_a_lost_site_and_its_return(folder):
    folder.run(losses=[LOSS])
    folder.progress.update()
    folder.progress.update()
    assert folder.said() == ["  lost b: no answer within 5 s"]
    folder.run(losses=[LOSS | {"returned": "10:05"}])
    folder.progress.update()
    folder.progress.update()
    assert folder.said() == ["  b is back"]


def test_a_resumed_run_does_not_tell_what_was_told(folder):
    folder.run(losses=[LOSS], n_rounds=3)
    folder.message("fit", 1_000_000)
    folder.round(1, 0.5)
    resumed = RunProgress(folder.path, Console(file=folder.screen, width=100), resumed=True)
    resumed.update()
    assert folder.said() == []
    folder.round(2, 0.25)
    resumed.update()
    assert folder.said() == ["  round 2 of 3: loss 0.2500, 4 sites, 1.3 s"]


def test_what_one_look_finds_is_told_in_its_order(folder):
    folder.run(n_rounds=2)
    folder.message("fit", 0)
    folder.round(1, 0.5)
    folder.message("fit", 0)
    folder.round(2, 0.25)
    folder.message("latents", 0)
    folder.progress.update()
    assert folder.said() == [
        "training (0.0 MB sent)",
        "  round 1 of 2: loss 0.5000, 4 sites, 1.3 s",
        "  round 2 of 2: loss 0.2500, 4 sites, 1.3 s",
        "decoder and reference means (0.0 MB sent)",
    ]


def test_a_phase_that_is_not_shown_counts_its_bytes(folder):
    folder.message("fit", 0)
    folder.message("reveal", 1_000_000)
    folder.message("fit", 0)
    folder.message("latents", 0)
    folder.progress.update()
    assert folder.said() == ["training (0.0 MB sent)", "decoder and reference means (1.0 MB sent)"]


def test_markup_in_what_is_said_is_shown_as_it_is(folder, monkeypatch):
    monkeypatch.setitem(PHASES, "fit", "[red]training[/]")
    folder.message("fit", 0)
    folder.progress.update()
    assert folder.said() == ["[red]training[/] (0.0 MB sent)"]


def test_run_json_is_returned(folder):
    folder.run(status="failed", error="why")
    assert folder.progress.update() == {"status": "failed", "error": "why"}
    folder.run(status="finished")
    assert folder.progress.update() == {"status": "finished"}


@pytest.fixture
def terminal(tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLUMNS", raising=False)
    return Folder(tmp_path / "run", force_terminal=True, color_system=None)


def test_a_terminal_shows_a_bar(terminal):
    with terminal.progress:
        terminal.progress.update()
    assert "starting Flower" in terminal.screen.getvalue()


def test_the_bar_shows_sites_round_loss_and_bytes(terminal):
    terminal.run(n_rounds=3, sites={"a": {}, "b": {}, "c": {}}, lost_sites={"b": "gone"})
    terminal.message("fit", 12_300_000)
    terminal.round(1, 0.5)
    with terminal.progress:
        terminal.progress.update()
    shown = terminal.screen.getvalue()
    assert "training" in shown
    assert "round 2/3 · loss 0.5000 · 2 sites · 12.3 MB sent" in shown
    # A line per step is for logs.
    assert "round 1 of 3" not in shown


def test_the_bar_after_the_last_round_and_after_training(terminal):
    terminal.run(n_rounds=1)
    terminal.message("fit", 0)
    terminal.round(1, 0.5)
    with terminal.progress:
        terminal.progress.update()
    assert "round 1/1" in terminal.screen.getvalue()
    terminal.said()
    terminal.message("correct", 0)
    with terminal.progress:
        terminal.progress.update()
    shown = terminal.screen.getvalue()
    assert "sites correct their cells" in shown
    assert "round" not in shown.partition("sites correct")[2]


def test_a_whole_run(tmp_path):
    data = write_sites(tmp_path / "data", three_sites())
    federate(tmp_path / "run", data, 3)
    folder = Folder(tmp_path / "run")
    assert folder.progress.update()["status"] == "finished"
    said = folder.said()
    # Every phase in its order, and every round.
    shown = [line.partition(" (")[0] for line in said if "MB sent" in line]
    assert shown == [words for phase, words in PHASES.items() if phase not in OPTIONAL]
    rounds = [line[:16] for line in said if "loss" in line]
    assert rounds == ["  round 1 of 2: ", "  round 2 of 2: "]
    total = sum(
        json.loads(line)["bytes"]
        for line in (tmp_path / "run/ledger.jsonl").read_text().splitlines()
    )
    shown = float(said[-1].split("(")[1].split()[0])
    assert 0 < shown <= total / 1e6 + 0.05
