"""What a site's container can reach and change, and what is refused on either side."""

import pytest

from tests.disturbed import wait_until
from tests.engine import clean_copy, compose, docker

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def standing(images, four_site_data, tmp_path_factory):
    """A coordinator and two sites that wait for a run."""
    checkout = clean_copy(tmp_path_factory.mktemp("standing"))
    with compose(checkout, SYNCYTIUM_DATA=str(four_site_data)) as project:
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
