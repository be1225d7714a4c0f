"""deploy/: a real coordinator and real hospitals, each alone, as docs/deployment.md tells them."""

import contextlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import pytest

from bench.nodes import free_ports
from common.privacy.site_budget import SiteBudget
from tests.accountants import EVERY_ACCOUNTANT, computed_here, numbers
from tests.disturbed import SETTINGS, wait_until
from tests.engine import Compose, clean_copy, compose, docker
from tests.small_sites import leftovers, lines, run_json
from tests.test_cli import call

pytestmark = pytest.mark.engine

HOSPITALS = ["bern", "chur", "genf", "lugano"]
OPERATOR = ("exec", "-T", "superlink")
EPSILON = 4.0


def say(*arguments):
    done = call(*arguments)
    assert done.exit_code == 0, done.output
    return done.output


@dataclass
class Deployed:
    """A coordinator and its hospitals, which are up.

    Parameters
    ----------
    folder
        Copies of the checkout's ``deploy/`` with everyone's files: ``results``, ``NAME-output``.
    coordinator, hospitals
        Their projects.
    """

    folder: Path
    coordinator: Compose
    hospitals: dict[str, Compose]

    def call(self, conf: str, out: str, **settings: object) -> subprocess.CompletedProcess[str]:
        """A run by the operator, at the coordinator."""
        sets = [
            part
            for key, value in settings.items()
            for part in ("--set", f"{key.replace('_', '-')}={value}")
        ]
        path, results = f"/opt/syncytium/conf/{conf}.toml", f"/results/{out}"
        command = ("syncytium", "run", path, "--superlink", "here", "--out", results)
        return self.coordinator.call(*OPERATOR, *command, *sets)

    def run(self, conf: str, out: str, **settings: object) -> dict:
        """``run.json`` of a run that must succeed."""
        called = self.call(conf, out, **settings)
        assert called.returncode == 0, called.stdout[-4000:]
        return run_json(self.folder / "results" / out)


@pytest.fixture(scope="module")
def deployed(images, four_site_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("deployed")
    checkout = clean_copy(folder / "checkout")
    deploy = checkout / "deploy"
    gateway = docker(
        *("network", "inspect", "bridge"),
        *("--format", "{{range .IPAM.Config}}{{.Gateway}}{{end}}"),
    ).strip()
    (port,) = free_ports(1)
    owner = f"{os.getuid()}:{os.getgid()}"

    # The coordinator's page.
    say("certs", gateway, "coordinator.example.org", "--out", deploy / "tls")
    (deploy / "tls/ca.key").rename(folder / "ca.key")
    (deploy / "nodes").mkdir()
    (deploy / "results").mkdir()

    # A hospital's page, at each.
    roster = []
    for name in HOSPITALS:
        told = say("keys", name, "--out", deploy / name)
        roster += [
            line.strip() for line in told.splitlines() if line.strip().startswith(f"{name} =")
        ]
        say("policy", deploy / name / "policy.toml")
        shutil.copy(deploy / "tls/ca.crt", deploy / name)
        (deploy / f"{name}-output").mkdir()
        if name != "lugano":
            shutil.copy(deploy / name / "node.key.pub", deploy / f"nodes/{name}.pub")
    assert len(roster) == len(HOSPITALS)
    for name in HOSPITALS:
        edit(
            deploy / name / "policy.toml",
            ("[roster]", "\n".join(["[roster]", *roster])),
            ("max-epsilon = 0.0", f"max-epsilon = {EPSILON}"),
            ('dataset = ""', 'dataset = "cells"'),
        )

    settings = {"OWNER": owner, "FLEET_PORT": str(port)}
    with compose(checkout, "deploy/coordinator.yml", **settings) as coordinator:
        coordinator.done("up", "--detach", "--wait")
        # One that comes later is registered while the SuperLink runs.
        shutil.copy(deploy / "lugano/node.key.pub", deploy / "nodes/lugano.pub")
        key = "/coordinator/nodes/lugano.pub"
        coordinator.done(
            *OPERATOR, "flwr", "supernode", "register", key, "here", "--name", "lugano"
        )
        with contextlib.ExitStack() as stack:
            hospitals = {}
            for number, name in enumerate(HOSPITALS, start=1):
                own = {
                    "OWNER": owner,
                    "COORDINATOR": f"{gateway}:{port}",
                    "NAME": name,
                    "DATA": str(four_site_data / f"site-{number}.h5ad"),
                    "KEYS": str(deploy / name),
                    "OUTPUT": str(deploy / f"{name}-output"),
                }
                hospital = stack.enter_context(compose(checkout, "deploy/site.yml", **own))
                hospital.done("up", "--detach")
                hospitals[name] = hospital
            listed = ("flwr", "supernode", "list", "here", "--format", "json")
            wait_until(
                lambda: coordinator.done(*OPERATOR, *listed).count('"online"') == len(HOSPITALS),
                "not all hospitals are online",
            )
            yield Deployed(deploy, coordinator, hospitals)


def paid(output):
    """Releases in a site's record of its budget."""
    return json.loads((output / "privacy_budget.json").read_text())["releases"]


def edit(path, *changes):
    text = path.read_text()
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    path.write_text(text)


def test_a_coordinator_and_hospitals_that_know_each_other_by_tls_and_roster_alone(deployed):
    done = deployed.run("correct", "first", **SETTINGS)
    assert done["status"] == "finished"
    assert sorted(done["sites"]) == HOSPITALS
    # Only the Fleet port is published.
    published = deployed.coordinator.inspect("superlink")["NetworkSettings"]["Ports"]
    assert list(published) == ["9092/tcp"]
    for name in HOSPITALS:
        output = deployed.folder / f"{name}-output"
        assert (output / "corrected.h5ad").exists()
        assert leftovers(output) in ([], ["participants.lock"])
        met = next(line for line in lines(output / "outbox.jsonl") if line["phase"] == "offers")
        assert sorted(met["fingerprints"]) == HOSPITALS
    assert not list((deployed.folder / "results").rglob("*.h5ad"))


def test_a_synthetic_cohort_is_paid_from_each_hospitals_own_volume(deployed):
    settings = {"generator": "gaussian", "epsilon": EPSILON, "noise_colluding": 1}
    done = deployed.run("synthesize", "cohort", n_sites=4, min_sites=3, **settings)
    assert done["status"] == "finished"
    assert sorted(done["sites"]) == HOSPITALS
    privacy = done["privacy"]
    assert privacy["private"] is True
    told = {key: privacy[key] for key in ("epsilon", "delta", "unit", "secure_sum", "n_sites")}
    assert told == {
        "epsilon": EPSILON,
        "delta": 1e-5,
        "unit": "record",
        "secure_sum": "masked",
        "n_sites": 4,
    }
    # Enough noise against one of them, and so more than enough against all others.
    assert privacy["epsilon_outsiders"] < privacy["epsilon_colluding"]["1"] <= EPSILON
    assert privacy["epsilon_colluding"]["1"] == pytest.approx(EPSILON, rel=1e-4)
    assert {(s["n_sites"], s["survivors"]) for s in privacy["stages"].values()} == {(4, 4)}
    made = anndata.read_h5ad(deployed.folder / "results/cohort/synthetic.h5ad")
    assert made.n_obs == done["n_synthetic"] > 0
    assert sorted(made.obs["cell_type"].unique()) == done["classes"] == ["A", "B"]
    assert float(made.uns["privacy"]["epsilon"]) == EPSILON
    assert np.isfinite(made.X).all()
    for name in HOSPITALS:
        output = deployed.folder / f"{name}-output"
        releases = [(line["dataset"], line["release"], line["state"]) for line in paid(output)]
        assert releases == [
            ("cells", f"{done['run_id']}/noised_sums/{number}", "committed")
            for number in range(1, len(privacy["stages"]) + 1)
        ]
        spent = SiteBudget(output, "cells", "record", EPSILON, 1e-5).spent()
        assert spent == pytest.approx(EPSILON, rel=1e-4)
        assert spent <= EPSILON
        assert not (output / "synthetic.h5ad").exists()
    # A container that is made anew finds it in its volume: there is nothing left for a second run.
    deployed.hospitals["bern"].done("up", "--detach", "--force-recreate")
    again = deployed.call("synthesize", "again", n_sites=4, min_sites=3, **settings)
    assert again.returncode != 0
    assert "policy rule privacy budget" in " ".join(again.stdout.split())
    for name in HOSPITALS:
        output = deployed.folder / f"{name}-output"
        refused = lines(output / "outbox.jsonl")[-1]
        assert (refused["phase"], refused["refused"]["kind"]) == ("describe", "BudgetError")
        assert len(paid(output)) == len(privacy["stages"])


@pytest.mark.parametrize("service", ["superlink", "site"])
def test_every_accountant_counts_in_the_images(deployed, service):
    project = deployed.hospitals["bern"] if service == "site" else deployed.coordinator
    assert numbers(project.python(service, EVERY_ACCOUNTANT)) == pytest.approx(
        computed_here(), rel=1e-9
    )
