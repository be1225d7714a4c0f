"""`syncytium run` from end to end on Ray, from another folder: what it leaves and how it ends."""

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import anndata
import psutil
import pytest

from tests.small_sites import leftovers, lines, three_sites, write_sites

ROOT = Path(__file__).parent.parent
SYNCYTIUM = Path(sys.executable).parent / "syncytium"
SETTINGS = ("rounds=2", "hidden=32", "latent-dim=5", "n-top-genes=40", "batch-size=32")
LIMIT = 240

pytestmark = pytest.mark.ray


class Run:
    """A finished `syncytium run`, and every process that it started, whatever its session.

    With ``terminate_at`` it is sent SIGTERM once that file of the run folder exists.
    """

    def __init__(self, folder: Path, data: Path, terminate_at: str | None = None):
        self.out = folder / "out"
        self.cwd = folder / "elsewhere"
        self.cwd.mkdir()
        mark = uuid.uuid4().hex
        arguments = [
            SYNCYTIUM,
            "run",
            ROOT / "conf/correct.toml",
            "--data",
            os.path.relpath(data, self.cwd),
            "--out",
            os.path.relpath(self.out, self.cwd),
        ]
        for setting in SETTINGS:
            arguments += ["--set", setting]
        self.started: set[psutil.Process] = set()
        sessions: set[int] = set()
        with (folder / "stdout").open("w") as stdout, (folder / "stderr").open("w") as stderr:
            process = subprocess.Popen(
                arguments,
                cwd=self.cwd,
                env={**os.environ, "SYNCYTIUM_TEST_RUN": mark},
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
            end = time.monotonic() + LIMIT
            while process.poll() is None and time.monotonic() < end:
                self._look(mark, sessions)
                if terminate_at and (self.out / terminate_at).exists():
                    process.terminate()
                    terminate_at = None
                time.sleep(0.3)
        if process.poll() is None:
            process.terminate()
            pytest.fail(f"no end after {LIMIT} s: {(folder / 'stdout').read_text()}")
        self.left = sorted(filter(None, map(living, self.started)))
        self.returncode = process.returncode
        self.stdout = (folder / "stdout").read_text()
        self.stderr = (folder / "stderr").read_text()

    def _look(self, mark: str, sessions: set[int]) -> None:
        # Ray's actors overwrite their environment: their session tells whose they are.
        found = {}
        for process in psutil.process_iter():
            try:
                found[process] = os.getsid(process.pid)
                if process.environ().get("SYNCYTIUM_TEST_RUN") == mark:
                    sessions.add(found[process])
            except (psutil.Error, OSError):
                continue
        self.started |= {p for p, session in found.items() if session in sessions}


def living(process: psutil.Process) -> str:
    """The name of a process; "" if it has ended."""
    try:
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            return f"{process.pid} {process.name()}"
    except psutil.NoSuchProcess:
        pass
    return ""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ray")
    return Run(folder, write_sites(folder / "data", three_sites()))


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("broken")
    data = write_sites(folder / "data", three_sites())
    (data / "site-2.h5ad").write_bytes(b"broken")
    return Run(folder, data)


@pytest.fixture(scope="module")
def terminated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("terminated")
    data = write_sites(folder / "data", three_sites())
    return Run(folder, data, terminate_at="ledger.jsonl")


def test_it_succeeds(finished):
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    assert "done: 298 cells of 3 sites corrected" in finished.stdout
    assert "round 2 of 2: loss" in finished.stdout
    run = json.loads((finished.out / "run.json").read_text())
    assert run["status"] == "finished"
    assert len(lines(finished.out / "metrics.jsonl")) == 2


def test_every_site_has_its_corrected_file(finished):
    for number, before in enumerate(three_sites(), start=1):
        after = anndata.read_h5ad(finished.out / f"sites/site-{number}/corrected.h5ad")
        assert list(after.obs_names) == list(before.obs_names)
        assert (after.X != before.X).nnz == 0
        assert after.obsm["decoded"].shape == (before.n_obs, 40)
    assert leftovers(finished.out) == []


def test_the_code_is_flowers_bundle_and_not_the_checkout(finished):
    code = Path(json.loads((finished.out / "run.json").read_text())["code"])
    assert "apps" in code.parts
    assert code.name.startswith("syncytium.syncytium.")
    assert not code.is_relative_to(ROOT)
    assert str(ROOT) != str(code)
    # The folder of the run's own SuperLink is gone with it.
    assert not code.exists()


def test_nothing_is_left_in_the_working_directory(finished, failed):
    assert list(finished.cwd.iterdir()) == list(failed.cwd.iterdir()) == []


def test_a_failed_run_says_so(failed):
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: phase describe failed")
    assert "site-2.h5ad cannot be opened as .h5ad" in failed.stderr
    assert "write it with anndata's write_h5ad" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert "done" not in failed.stdout
    run = json.loads((failed.out / "run.json").read_text())
    assert run["status"] == "failed"
    assert "site-2.h5ad" in run["error"]
    assert not list(failed.out.rglob("corrected.h5ad"))
    assert leftovers(failed.out) == []
    assert not list(failed.out.glob("sites/*/cache"))
    # What the sites said is kept, since the SuperLink that knew it is gone.
    assert "site-2.h5ad" in (failed.out / "flower.log").read_text()


def test_a_terminated_run_says_so(terminated):
    assert not list(terminated.out.glob("sites/*/cache"))
    assert terminated.returncode == 130
    assert "stopped" in terminated.stderr
    assert "Traceback" not in terminated.stderr


def test_no_process_is_left(finished, failed, terminated):
    for run in (finished, failed, terminated):
        # Flower's own processes and Ray's.
        assert len(run.started) > 3
        assert run.left == []
