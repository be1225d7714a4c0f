"""`syncytium compare`: what it refuses before anything starts, and whole runs of it."""

import contextlib
import json
import sys

import pytest
from rich.console import Console
from typer.testing import CliRunner

from cli.compare import _Line
from cli.compared_runs import ComparedRuns
from cli.main import app
from common.comparison.methods import methods_of
from common.comparison.plan import comparison_plan
from tests.compared import made_up
from tests.in_process import run_in_process
from tests.small_sites import run_json, site, write_sites

CONF = """
task = "classify"
classifier = "actinn"
n-top-genes = 40
rounds = 4
batch-size = 256
"""
METHODS = "baseline,small-batch,narrow-ring"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    sites = [
        site({("p", "A"): 150, ("p", "B"): 90, ("p", "C"): 60}, seed=1),
        site({("q", "A"): 70, ("q", "B"): 130, ("q", "C"): 100}, seed=2),
    ]
    return write_sites(tmp_path_factory.mktemp("compare") / "data", sites)


@pytest.fixture
def conf(tmp_path):
    path = tmp_path / "conf.toml"
    path.write_text(CONF)
    return path


class Runs:
    """In place of runs by Flower; how many SuperLinks and runs there were."""

    def __init__(self):
        self.started, self.made = 0, []

    @contextlib.contextmanager
    def own_superlink(self, log):
        self.started += 1
        yield "flower"

    def execute(self, values, out, *, flower, screen):
        assert flower == "flower"
        assert screen.quiet
        self.made.append(values)
        return made_up(out, f1=0.9 + 0.001 * len(self.made), n_train=4000)


@pytest.fixture
def runs(monkeypatch):
    found = Runs()
    # The package has the command under the module's name.
    module = sys.modules["cli.compare"]
    monkeypatch.setattr(module, "own_superlink", found.own_superlink)
    monkeypatch.setattr(module, "execute", found.execute)
    return found


def call(*arguments):
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


def refused(*arguments):
    done = call(*arguments)
    assert done.exit_code == 1, done.output
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    return done.stderr


def options(data, out, methods=METHODS):
    return "--data", data, "--out", out, "--methods", methods


@pytest.mark.parametrize(
    ("methods", "more", "said"),
    [
        ("baseline", (), "at least 2 methods"),
        ("baseline,smal-batch", (), "did you mean 'small-batch'"),
        ("baseline,a:precisoin=bf16", (), "method a: unknown key 'precisoin'"),
        ("baseline,a:rounds=8", (), "that is no equal work"),
        ("baseline,a:min-sites=3", (), "method a: n-sites = 2 is below min-sites = 3"),
        (METHODS, ("--repeats", "2"), "--repeats 2: at least 3"),
        (METHODS, ("--set", "test-share=0"), "leaves no cell to compare methods on"),
        (METHODS, ("--resume",), "holds no comparison to resume"),
    ],
)
def test_nothing_is_started_for_what_is_wrong(data, conf, tmp_path, runs, methods, more, said):
    assert said in refused(conf, *options(data, tmp_path / "out", methods), *more)
    assert (runs.started, runs.made) == (0, [])
    assert not (tmp_path / "out").exists()


def test_sites_that_are_not_there(conf, tmp_path, runs):
    assert "no such folder" in refused(conf, *options(tmp_path / "none", tmp_path / "out"))
    assert runs.started == 0


def test_one_superlink_for_all_runs_and_a_line_for_each(data, conf, tmp_path, runs):
    out = tmp_path / "out"
    done = call(conf, *options(data, out), "--seed", "5", "--set", "rounds=6")
    assert done.exit_code == 0, done.output
    assert runs.started == 1
    assert len(runs.made) == 10
    assert {values["rounds"] for values in runs.made} == {6, 12}
    assert [values["seed"] for values in runs.made] == [5] * 4 + [6] * 3 + [7] * 3
    assert {values["data"] for values in runs.made} == {str(data)}
    lines = done.stdout.splitlines()
    assert lines[0].startswith("before 9 runs: ")
    assert lines[1].startswith("run 1 of 9: ")
    assert "repeat 1 of 3; about" in lines[1]
    assert lines[9].startswith("run 9 of 9: ")
    assert "left" in lines[9]
    for text in ("small-batch", "macro-F1", "EAPS", "compare.csv", "report.html", "compare.svg"):
        assert text in done.stdout
    assert "holds a comparison already" in refused(conf, *options(data, out))
    again = call(
        conf, *options(data, out), "--seed", "5", "--set", "rounds=6", "--resume", "--repeats", "4"
    )
    assert again.exit_code == 0, again.output
    assert len(runs.made) == 10 + 1 + 3
    assert "run 10 of 12: " in again.stdout
    page = CliRunner().invoke(app, ["report", str(out)])
    assert page.exit_code == 0, page.output
    assert "report.html" in page.stdout


def test_on_a_terminal_it_is_one_line():
    screen = Console(force_terminal=True, width=80, highlight=False)
    with screen.capture(), _Line.on(screen) as line:
        line.tell(3, 12, "baseline, repeat 1 of 3", 125.0)
        assert line.status.status == "run 3 of 12: baseline, repeat 1 of 3; about 2 min 5 s left"


def test_whole_runs_at_equal_work(data, tmp_path):
    """Through the app's own code: each method trains as it says, on the cells of its repeat."""

    def run_once(values, out):
        run_in_process(out, 2, **values, **{"n-sites": 2})
        return run_json(out)

    base = {"task": "classify", "classifier": "actinn", "data": str(data)}
    base |= {"n-top-genes": 40, "rounds": 4, "batch-size": 256}
    plan = comparison_plan(base, methods_of(METHODS))
    record = ComparedRuns(plan, tmp_path / "out", run_once).make()
    assert record["status"] == "finished"
    by_method = {name: [] for name in plan.works}
    for run in record["runs"]:
        by_method[run["method"]].append(run)
        told = run_json(tmp_path / "out" / run["folder"])
        assert told["config"]["seed"] == run["seed"]
        assert told["test"]["macro_f1"] == run["quality"]["macro_f1"]
        sites, own = told["energy"]["sites"], told["energy"]["coordinator"]
        assert run["energy"]["kwh"] == pytest.approx(sites["kwh"] + own["kwh"])
        assert run["energy"]["kg"] == pytest.approx(sites["kg"] + own["kg"])
    assert {run["rounds"] for run in by_method["baseline"]} == {4}
    assert {run["rounds"] for run in by_method["small-batch"]} == {8}
    # All passes that there are: 4 steps of 256 of 420 cells.
    assert {round(run["passes"], 3) for run in record["runs"]} == {round(4 * 256 / 420, 3)}
    # The same cells, split and initial values in a repeat; only the ring's steps differ.
    for one, other in zip(by_method["baseline"], by_method["narrow-ring"], strict=True):
        assert one["quality"]["accuracy"] == pytest.approx(other["quality"]["accuracy"], abs=0.02)
        assert other["communication"]["bytes"] < one["communication"]["bytes"]
    again, first = record["runs"][0], record["warm_ups"][0]
    assert (again["method"], again["seed"]) == (first["method"], first["seed"])
    assert again["quality"] == first["quality"]
    assert json.loads((tmp_path / "out/compare.json").read_text()) == record
