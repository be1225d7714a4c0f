"""deploy/: a real coordinator and real hospitals, each alone, as docs/deployment.md tells them."""

import contextlib
import os
import shutil

import pytest

from bench.nodes import free_ports
from tests.disturbed import SETTINGS, wait_until
from tests.engine import clean_copy, compose, docker
from tests.small_sites import leftovers, lines, run_json
from tests.test_cli import call

pytestmark = pytest.mark.engine

HOSPITALS = ["bern", "chur", "genf", "lugano"]


def say(*arguments):
    done = call(*arguments)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_coordinator_and_hospitals_that_know_each_other_by_tls_and_roster_alone(
    images, four_site_data, tmp_path
):
    checkout = clean_copy(tmp_path / "checkout")
    deploy = checkout / "deploy"
    gateway = docker(
        *("network", "inspect", "bridge"),
        *("--format", "{{range .IPAM.Config}}{{.Gateway}}{{end}}"),
    ).strip()
    (port,) = free_ports(1)
    owner = f"{os.getuid()}:{os.getgid()}"

    # The coordinator's page.
    say("certs", gateway, "coordinator.example.org", "--out", deploy / "tls")
    (deploy / "tls/ca.key").rename(tmp_path / "ca.key")
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
        policy = deploy / name / "policy.toml"
        assert "[roster]" in policy.read_text()
        policy.write_text(policy.read_text().replace("[roster]", "\n".join(["[roster]", *roster])))

    settings = {"OWNER": owner, "FLEET_PORT": str(port)}
    with compose(checkout, "deploy/coordinator.yml", **settings) as coordinator:
        coordinator.done("up", "--detach", "--wait")
        # One that comes later is registered while the SuperLink runs.
        shutil.copy(deploy / "lugano/node.key.pub", deploy / "nodes/lugano.pub")
        operator = ("exec", "-T", "superlink")
        key = "/coordinator/nodes/lugano.pub"
        coordinator.done(
            *operator, "flwr", "supernode", "register", key, "here", "--name", "lugano"
        )
        with contextlib.ExitStack() as hospitals:
            for number, name in enumerate(HOSPITALS, start=1):
                own = {
                    "OWNER": owner,
                    "COORDINATOR": f"{gateway}:{port}",
                    "NAME": name,
                    "DATA": str(four_site_data / f"site-{number}.h5ad"),
                    "KEYS": str(deploy / name),
                    "OUTPUT": str(deploy / f"{name}-output"),
                }
                hospital = hospitals.enter_context(compose(checkout, "deploy/site.yml", **own))
                hospital.done("up", "--detach")
            listed = ("flwr", "supernode", "list", "here", "--format", "json")
            wait_until(
                lambda: coordinator.done(*operator, *listed).count('"online"') == len(HOSPITALS),
                "not all hospitals are online",
            )
            sets = [
                part
                for key, value in SETTINGS.items()
                for part in ("--set", f"{key.replace('_', '-')}={value}")
            ]
            conf = "/opt/syncytium/conf/correct.toml"
            run = ("syncytium", "run", conf, "--superlink", "here", "--out", "/results/first")
            coordinator.done(*operator, *run, *sets)
            # Only the Fleet port is published.
            published = coordinator.inspect("superlink")["NetworkSettings"]["Ports"]
            assert list(published) == ["9092/tcp"]
    done = run_json(deploy / "results/first")
    assert done["status"] == "finished"
    assert sorted(done["sites"]) == HOSPITALS
    for name in HOSPITALS:
        output = deploy / f"{name}-output"
        assert (output / "corrected.h5ad").exists()
        assert leftovers(output) in ([], ["participants.lock"])
        met = next(line for line in lines(output / "outbox.jsonl") if line["phase"] == "offers")
        assert sorted(met["fingerprints"]) == HOSPITALS
    assert not list((deploy / "results").rglob("*.h5ad"))
