"""`docker compose up` as a user runs it: equal results, walls between sites, killed containers."""

import json
import time

import pytest

from tests.disturbed import (
    SECONDS,
    SETTINGS,
    assert_corrected,
    assert_same_model,
    four_sites,
    n_rounds,
    simulate,
    some_time_in_training,
    wait_until,
)
from tests.engine import clean_copy, compose, docker, needs_engine
from tests.small_sites import leftovers, lines, run_json

pytestmark = [pytest.mark.engine, needs_engine]

SITES = ["site-1", "site-2", "site-3", "site-4"]
# For runs over the small sites.
TINY_RUN = "\n".join(
    f"      - {json.dumps(part)}"
    for key, value in SETTINGS.items()
    for part in ("--set", f"{key.replace('_', '-')}={value}")
)
OVERRIDE = f"services:\n  run:\n    command:\n      - sh\n      - /opt/run.sh\n{TINY_RUN}\n"


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Both images, built from a clean copy."""
    checkout = clean_copy(tmp_path_factory.mktemp("build"))
    with compose(checkout) as project:
        project.done("build", "--quiet")
    sizes = docker("image", "ls", "--format", "{{.Repository}} {{.Size}}")
    print("\n".join(line for line in sizes.splitlines() if line.startswith("syncytium-")))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return four_sites(tmp_path_factory.mktemp("containers") / "data")


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("undisturbed") / "out", data)


@pytest.fixture
def project(images, data, tmp_path):
    """Four small sites, of which nothing is started yet."""
    checkout = clean_copy(tmp_path / "checkout")
    (checkout / "override.yml").write_text(OVERRIDE)
    files = ("docker-compose.yml", "override.yml")
    with compose(checkout, *files, SYNCYTIUM_DATA=str(data)) as started:
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


def assert_finished(project, process):
    assert process.wait(SECONDS) == 0, said(project)
    assert run_json(run_of(project))["status"] == "finished"


def test_up_from_a_clean_checkout_equals_the_simulation(images, tmp_path):
    """The embedded default, with every setting as it comes."""
    from tests.test_cli import call

    with compose(clean_copy(tmp_path / "checkout")) as project:
        assert_finished(project, up(project))
        assert (
            docker("ps", "--quiet", "--filter", f"label=com.docker.compose.project={project.name}")
            == ""
        )
        done = call("demo", "--out", tmp_path / "demo")
        assert done.exit_code == 0, done.output
        assert_same_model(run_of(project), tmp_path / "demo")
        ours, simulated = run_json(run_of(project)), run_json(tmp_path / "demo")
        for key in ("largest_batch", "n_corrected", "n_shifted", "n_cells", "unshifted_types"):
            assert ours[key] == simulated[key], key
        for name, output in outputs(project).items():
            assert (output / "corrected.h5ad").exists(), name
            assert leftovers(output) in ([], ["participants.lock"])


@pytest.fixture(scope="module")
def standing(images, data, tmp_path_factory):
    """A coordinator and two sites that wait for a run."""
    checkout = clean_copy(tmp_path_factory.mktemp("standing"))
    with compose(checkout, SYNCYTIUM_DATA=str(data)) as project:
        project.done("up", "--detach", "site-1", "site-2")
        wait_until(
            lambda: "SuperNode ID" in project.done("logs", "site-1"), "site-1 has not connected"
        )
        yield project


REACH = """
import socket
for host, port in (("superlink", 9092), ("superlink", 8000), ("superlink", 9099), ("site-2", 9094),
                   ("site-2", 9099), ("pypi.org", 443), ("1.1.1.1", 443)):
    try:
        socket.create_connection((host, port), 3).close()
        print(host, port, "open")
    except OSError as error:
        print(host, port, "closed")
"""
CLOSED = [
    "superlink 9092 open",
    "superlink 8000 closed",
    "superlink 9099 closed",
    "site-2 9094 closed",
    "site-2 9099 closed",
    "pypi.org 443 closed",
    "1.1.1.1 443 closed",
]


def test_a_site_reaches_the_fleet_port_and_nothing_else(standing):
    assert standing.python("site-1", REACH).splitlines() == CLOSED


def test_a_second_container_on_a_sites_network_reaches_no_more(standing):
    network = f"{standing.name}_fleet-1"
    command = ("run", "--rm", "--network", network, "--entrypoint", "python", "syncytium-client")
    assert docker(*command, "-c", REACH).splitlines() == CLOSED


def test_a_site_sees_its_own_volumes_and_can_change_its_output_alone(standing):
    mounts = standing.inspect("site-1")["Mounts"]
    there = {m["Destination"]: (m.get("Name") or m["Source"], m["RW"]) for m in mounts}
    assert there == {
        "/ca": (f"{standing.name}_ca", False),
        "/keys": (f"{standing.name}_keys-1", False),
        "/data": (f"{standing.name}_data-1", False),
        "/output": (str(standing.checkout / "results/hospital-1"), True),
    }
    code = """
import os
for folder in ("/", "/opt", "/ca", "/keys", "/data", "/output"):
    try:
        with open(f"{folder}/probe", "w"):
            pass
        os.remove(f"{folder}/probe")
        print(folder, "can be written")
    except OSError as error:
        print(folder, error.strerror)
others = [name for name in ("/sites", "/coordinator", "/results") if os.path.exists(name)]
print(os.getuid(), sorted(os.listdir("/data")), others)
status = [line.split() for line in open("/proc/self/status")]
print([line[1] for line in status if line[0] in ("CapEff:", "NoNewPrivs:")])
"""
    read_only = [f"{name} Read-only file system" for name in ("/", "/opt", "/ca", "/keys", "/data")]
    assert standing.python("site-1", code).splitlines() == [
        *read_only,
        "/output can be written",
        "49999 ['site.h5ad'] []",
        "['0000000000000000', '1']",
    ]


CONFIG = "data-path='/data/site.h5ad' output-dir='/tmp/output' name='x'"
COORDINATOR = "--superlink superlink:9092"
OWN_CA, OWN_KEY = "--root-certificates /ca/ca.crt", "--auth-supernode-private-key /keys/node.key"


@pytest.mark.parametrize(
    ("prepare", "arguments", "config", "words"),
    [
        ("", f"--insecure {COORDINATOR}", CONFIG, "superlink:9092 speaks TLS"),
        ("", f"{OWN_CA} {COORDINATOR}", CONFIG, "[code: 2001] SuperNode authentication"),
        (
            "syncytium keys other --out /tmp/k",
            f"{OWN_CA} {COORDINATOR} --auth-supernode-private-key /tmp/k/node.key",
            CONFIG,
            "[code: 2004]",
        ),
        (
            "syncytium certs superlink --out /tmp/t",
            f"--root-certificates /tmp/t/ca.crt {COORDINATOR} {OWN_KEY}",
            CONFIG,
            "is another federation's ca.crt",
        ),
        (
            "",
            f"{OWN_CA} {COORDINATOR} {OWN_KEY}",
            CONFIG.replace("/tmp/output", "/data"),
            "output-dir = /data cannot be written: Read-only file system",
        ),
        (
            "",
            f"{OWN_CA} {COORDINATOR} {OWN_KEY}",
            CONFIG.replace("/data/", "/other/"),
            "data-path = /other/site.h5ad: there is no such file; is it mounted?",
        ),
    ],
    ids=["no TLS", "no key", "unregistered key", "wrong CA", "read-only output", "no volume"],
)
def test_a_site_that_is_refused(standing, prepare, arguments, config, words):
    node = f'exec syncytium-supernode {arguments} --node-config "{config}"'
    script = f"{prepare} && {node}" if prepare else node
    command = ("run", "--rm", "--no-deps", "-T", "--entrypoint", "sh", "site-1", "-c", script)
    done = standing.call(*command, seconds=120)
    assert done.returncode == 1, done.stdout
    assert words in done.stdout


def test_a_coordinator_with_another_key_does_not_start(standing):
    script = (
        "cp -r /coordinator/tls /tmp/tls && syncytium certs superlink --out /tmp/other && "
        "cp /tmp/other/server.key /tmp/tls/ && TLS=/tmp/tls exec sh /opt/superlink.sh"
    )
    command = ("run", "--rm", "--no-deps", "-T", "superlink", "sh", "-c", script)
    done = standing.call(*command, seconds=120)
    assert done.returncode == 1
    assert "server.key is not the key of server.crt" in done.stdout


def test_a_killed_site_that_is_started_again(project, undisturbed):
    process = up(project)
    some_time_in_training(run_of(project), process)
    project.done("kill", "--signal", "KILL", "site-2")
    project.done("up", "--detach", "--no-deps", "site-2")
    assert_finished(project, process)
    assert_same_model(run_of(project), undisturbed)
    assert_corrected(outputs(project), undisturbed)
    assert {loss["site"] for loss in run_json(run_of(project))["losses"]} <= {"hospital-2"}


def test_up_again_after_the_superlink_was_killed(project, undisturbed):
    process = up(project)
    some_time_in_training(run_of(project), process)
    project.done("kill", "--signal", "KILL", "superlink")
    assert process.wait(SECONDS) != 0
    reached = n_rounds(run_of(project))
    assert reached >= 1
    assert run_json(run_of(project))["status"] != "finished"
    assert_finished(project, up(project))
    assert len(lines(run_of(project) / "metrics.jsonl")) == SETTINGS["rounds"]
    assert_same_model(run_of(project), undisturbed)
    assert_corrected(outputs(project), undisturbed)


def test_a_site_without_network_for_a_minute(project, undisturbed):
    process = up(project)
    some_time_in_training(run_of(project), process)
    network, container = f"{project.name}_fleet-3", project.container("site-3")
    docker("network", "disconnect", network, container)
    time.sleep(60.0)
    docker("network", "connect", network, container)
    assert_finished(project, process)
    assert_same_model(run_of(project), undisturbed)
    assert_corrected(outputs(project), undisturbed)


FULL = """services:
  site-2:
    volumes:
      - {type: tmpfs, target: /output, tmpfs: {size: 65536, mode: 0o1777}}
"""


def test_a_full_disk_at_a_site_loses_nothing(project, undisturbed):
    (project.checkout / "full.yml").write_text(FULL)
    whole = project.files
    project.files = [*whole, "-f", "full.yml"]
    process = up(project)
    assert process.wait(SECONDS) == 1, said(project)
    run = run_json(run_of(project))
    assert run["status"] == "failed"
    assert "hospital-2" in run["error"]
    assert "space" in run["error"]
    project.files = whole
    assert_finished(project, up(project))
    assert_same_model(run_of(project), undisturbed)
    assert_corrected(outputs(project), undisturbed)
