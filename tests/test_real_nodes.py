"""Runs over real nodes, each a process of its own, that are killed at random moments."""

import contextlib
import signal
import time

import psutil
import pytest

from bench.many_nodes import many_nodes
from bench.nodes import nodes, with_children
from tests import node_runs
from tests.disturbed import (
    NAMES,
    ROUNDS,
    SECONDS,
    SETTINGS,
    assert_corrected,
    assert_same_model,
    n_rounds,
    some_time_in_training,
    wait_until,
)
from tests.node_runs import said, start_site
from tests.small_sites import lines, run_json

pytestmark = pytest.mark.nodes


@pytest.fixture
def federation(four_site_data, tmp_path):
    with nodes(tmp_path / "nodes") as started:
        for name in NAMES:
            start_site(started, four_site_data, name)
        yield started


def start_run(federation, *options, **settings):
    return node_runs.start_run(federation, *options, **{**SETTINGS, **settings})


def outputs(federation):
    return {name: federation.folder / name for name in NAMES}


def test_a_run_over_nodes_equals_the_simulation(federation, undisturbed):
    process = start_run(federation)
    assert process.wait(SECONDS) == 0, said(federation)
    assert_same_model(federation.folder / "run", undisturbed)
    assert_corrected(outputs(federation), undisturbed)
    # The sites run what the coordinator's run brought, not what is installed beside them.
    text = said(federation)
    assert "4 sites" in text
    assert "at each site, in its output-dir" in text


def test_a_killed_client_process_costs_time_alone(federation, undisturbed):
    process = start_run(federation, on_site_error="wait")
    some_time_in_training(federation.folder / "run", process)

    def working():
        top = with_children(federation.sites["site-2"])
        servers = [p for p in top if "multiprocessing.forkserver" in " ".join(p.cmdline())]
        return [child for server in servers for child in server.children()]

    # One that has answered is not missed; while the node waits for one that is, no other starts.
    killed, end = 0, time.monotonic() + 5.0
    while time.monotonic() < end or not killed:
        assert process.poll() is None, said(federation)
        # It may end by itself in the meantime.
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in working():
                child.kill()
                killed += 1
        time.sleep(0.02)
    assert process.wait(SECONDS) == 0, said(federation)
    assert_same_model(federation.folder / "run", undisturbed)
    assert_corrected(outputs(federation), undisturbed)
    # None, if it had not yet taken the message: then another process takes it.
    losses = run_json(federation.folder / "run").get("losses", [])
    for loss in losses:
        assert loss["site"] == "site-2"
        assert loss["returned"]
    assert ("lost site-2" in said(federation)) == bool(losses)
    assert ("site-2 is back" in said(federation)) == bool(losses)


def test_a_killed_node_that_is_started_again_takes_part_again(
    federation, four_site_data, undisturbed
):
    process = start_run(federation, on_site_error="wait")
    some_time_in_training(federation.folder / "run", process)
    federation.kill(federation.sites["site-2"])
    start_site(federation, four_site_data, "site-2")
    assert process.wait(SECONDS) == 0, said(federation)
    assert_same_model(federation.folder / "run", undisturbed)
    assert_corrected(outputs(federation), undisturbed)
    losses = run_json(federation.folder / "run")["losses"]
    assert {loss["site"] for loss in losses} == {"site-2"}
    assert all(loss["returned"] for loss in losses)


def test_a_run_goes_on_without_a_killed_node(federation):
    process = start_run(federation, on_site_error="continue")
    some_time_in_training(federation.folder / "run", process)
    federation.kill(federation.sites["site-3"])
    assert process.wait(SECONDS) == 0, said(federation)
    run = run_json(federation.folder / "run")
    assert list(run["lost_sites"]) == ["site-3"]
    assert lines(federation.folder / "run/metrics.jsonl")[-1]["n_sites"] == 3
    for name in ("site-1", "site-2", "site-4"):
        assert (federation.folder / name / "corrected.h5ad").exists()
    assert not (federation.folder / "site-3/corrected.h5ad").exists()


def test_a_killed_superlink_costs_no_round(federation, undisturbed):
    process = start_run(federation)
    some_time_in_training(federation.folder / "run", process)
    federation.kill(federation.link)
    assert process.wait(SECONDS) != 0
    reached = n_rounds(federation.folder / "run")
    assert run_json(federation.folder / "run")["status"] != "finished"
    federation.start_link()
    process = start_run(federation, "--resume")
    assert process.wait(SECONDS) == 0, said(federation)
    metrics = lines(federation.folder / "run/metrics.jsonl")
    assert [line["round"] for line in metrics] == list(range(1, ROUNDS + 1))
    assert reached >= 1
    assert_same_model(federation.folder / "run", undisturbed)
    assert_corrected(outputs(federation), undisturbed)


def test_a_killed_run_can_be_resumed_at_once(federation, undisturbed):
    """The ServerApp's process alone; the SuperLink lives."""
    process = start_run(federation)
    some_time_in_training(federation.folder / "run", process)
    for child in with_children(federation.link):
        if "flwr-serverapp" in " ".join(child.cmdline()):
            child.send_signal(signal.SIGKILL)
    code = process.wait(SECONDS)
    assert code not in (0, None)
    assert "resume" in said(federation) or "Flower ended the run" in said(federation)
    process = start_run(federation, "--resume")
    assert process.wait(SECONDS) == 0, said(federation)
    assert_same_model(federation.folder / "run", undisturbed)


def test_nothing_of_a_federation_is_left_behind(four_site_data, tmp_path):
    with nodes(tmp_path / "nodes") as federation:
        start_site(federation, four_site_data, "site-1")
        started = [*with_children(federation.link), *with_children(federation.sites["site-1"])]
        # The warm process too.
        wait_until(lambda: len(with_children(federation.sites["site-1"])) >= 3, "fork server")
        started += with_children(federation.sites["site-1"])
    time.sleep(1.0)
    assert [p for p in started if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []


def test_twenty_nodes_on_one_machine(tmp_path, capsys):
    # A small network: what 20 sites take is Flower's own work for each message.
    small = ("rounds=1", "n-top-genes=200", "hidden=32", "latent-dim=5")
    figures = many_nodes(tmp_path, 20, *small)
    memory = sorted(figures["memory_mb"].values())
    with capsys.disabled():
        print(
            f"\n20 SuperNodes of {memory[0]:.0f} to {memory[-1]:.0f} MB, {sum(memory):.0f} in all"
        )
    run = figures["run"]
    assert run["status"] == "finished"
    assert len(run["sites"]) == figures["n_corrected_sites"] == len(memory) == 20
    assert run.get("losses", []) == []
    assert memory[0] > 0
