"""`docker compose up` as a user runs it: equal results, walls between sites, killed containers."""

import json
import time

import pytest

from tests.disturbed import (
    SECONDS,
    SETTINGS,
    assert_corrected,
    assert_same_model,
    n_rounds,
    some_time_in_training,
)
from tests.engine import clean_copy, compose, docker, syncytium
from tests.small_sites import leftovers, lines, run_json

pytestmark = pytest.mark.engine

SITES = ["site-1", "site-2", "site-3", "site-4"]
# For runs over the small sites.
TINY_RUN = [
    part
    for key, value in SETTINGS.items()
    for part in ("--set", f"{key.replace('_', '-')}={value}")
]
MORE = "\n".join(f"      - {json.dumps(part)}" for part in TINY_RUN)
OVERRIDE = f"services:\n  run:\n    command:\n      - sh\n      - /opt/run.sh\n{MORE}\n"


@pytest.fixture(scope="module")
def undisturbed(four_site_data, tmp_path_factory):
    """The simulated run over the small sites, with the arithmetic of the containers."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    syncytium("run", "conf/correct.toml", "--data", four_site_data, "--out", out, *TINY_RUN)
    return out


@pytest.fixture
def project(images, four_site_data, tmp_path):
    """Four small sites, of which nothing is started yet."""
    checkout = clean_copy(tmp_path / "checkout")
    (checkout / "override.yml").write_text(OVERRIDE)
    files = ("docker-compose.yml", "override.yml")
    settings = {"SYNCYTIUM_DATA": str(four_site_data), "SYNCYTIUM_REPORT": "false"}
    with compose(checkout, *files, **settings) as started:
        yield started


def up(project):
    return project.start("up", "--exit-code-from", "run", log=project.checkout / "up.log")


def said(project):
    return (project.checkout / "up.log").read_text(errors="replace")[-6000:]


def run_of(project):
    return project.checkout / "results/run"


def outputs(project):
    results = project.checkout / "results"
    return {name: results / name.replace("site", "hospital") for name in SITES}


def assert_finished(project, process, seconds=SECONDS):
    assert process.wait(seconds) == 0, said(project)
    assert run_json(run_of(project))["status"] == "finished"


def test_up_from_a_clean_checkout_equals_the_simulation(images, tmp_path):
    """The embedded default, with every setting as it comes."""
    with compose(clean_copy(tmp_path / "checkout")) as project:
        assert_finished(project, up(project), 3 * SECONDS)
        assert (
            docker("ps", "--quiet", "--filter", f"label=com.docker.compose.project={project.name}")
            == ""
        )
        syncytium("demo", "--out", tmp_path / "demo")
        assert_same_model(run_of(project), tmp_path / "demo")
        ours, simulated = run_json(run_of(project)), run_json(tmp_path / "demo")
        for key in ("largest_batch", "n_corrected", "n_shifted", "n_cells", "unshifted_types"):
            assert ours[key] == simulated[key], key
        for name, output in outputs(project).items():
            assert (output / "corrected.h5ad").exists(), name
            assert (output / "report.html").exists(), name
            assert leftovers(output) in ([], ["participants.lock"])


def test_a_killed_site_and_one_without_network_for_a_minute(project, undisturbed):
    process = up(project)
    some_time_in_training(run_of(project), process)
    network, container = f"{project.name}_fleet-3", project.container("site-3")
    docker("network", "disconnect", network, container)
    project.done("kill", "--signal", "KILL", "site-2")
    project.done("up", "--detach", "--no-deps", "site-2")
    time.sleep(60.0)
    docker("network", "connect", network, container)
    assert_finished(project, process)
    assert_same_model(run_of(project), undisturbed)
    assert_corrected(outputs(project), undisturbed)
    losses = run_json(run_of(project))["losses"]
    assert {loss["site"] for loss in losses} <= {"hospital-2", "hospital-3"}
    assert all(loss["returned"] for loss in losses)


# In place of /output, which is a folder of this machine.
FULL = """services:
  site-2:
    tmpfs: ["/small:size=64k,mode=1777"]
    command: >-
      --root-certificates /ca/ca.crt --superlink superlink:9092
      --auth-supernode-private-key /keys/node.key --node-config
      "data-path='/data/site.h5ad' output-dir='/small' site-key='/keys/site.key' name='hospital-2'"
"""


def test_up_again_after_a_full_disk_and_after_a_killed_superlink(project, undisturbed):
    (project.checkout / "full.yml").write_text(FULL)
    whole = project.files
    project.files = [*whole, "-f", "full.yml"]
    process = up(project)
    assert process.wait(SECONDS) == 1, said(project)
    run = run_json(run_of(project))
    assert run["status"] == "failed"
    assert "hospital-2" in run["error"]
    assert "No space left on device" in run["error"]
    project.files = whole

    process = up(project)
    some_time_in_training(run_of(project), process)
    project.done("kill", "--signal", "KILL", "superlink")
    assert process.wait(SECONDS) != 0
    assert n_rounds(run_of(project)) >= 1
    assert run_json(run_of(project))["status"] != "finished"

    assert_finished(project, up(project))
    metrics = lines(run_of(project) / "metrics.jsonl")
    assert [line["round"] for line in metrics] == list(range(1, SETTINGS["rounds"] + 1))
    assert_same_model(run_of(project), undisturbed)
    assert_corrected(outputs(project), undisturbed)
