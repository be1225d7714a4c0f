"""What a site is told before its node connects."""

import socket
import ssl
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest

from client.node.preflight import check_coordinator, check_site
from common.certificates import make_authority, make_server_certificate
from common.errors import ConfigError
from tests.real_sites import policy_file
from tests.small_sites import site, write_sites


@pytest.fixture
def config(tmp_path):
    data = write_sites(tmp_path / "data", [site({("p", "A"): 5, ("p", "B"): 5})])
    return {"data-path": str(data / "site-1.h5ad"), "output-dir": str(tmp_path / "out")}


def test_a_site_that_is_ready(config, tmp_path):
    check_site(config)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_missing_file(config):
    with pytest.raises(ConfigError, match=r"data-path = /nowhere.h5ad: there is no such file"):
        check_site({**config, "data-path": "/nowhere.h5ad"})


def test_an_unknown_key(config):
    with pytest.raises(ConfigError, match="unknown key 'data'"):
        check_site({**config, "data": "x"})


def test_a_folder_that_cannot_be_written(config, tmp_path):
    (tmp_path / "file").write_text("")
    for key in ("output-dir", "cache-dir"):
        with pytest.raises(ConfigError, match=f"{key} = .*file cannot be written"):
            check_site({**config, key: str(tmp_path / "file")})


def test_a_missing_policy_or_key(config, tmp_path):
    with pytest.raises(ConfigError, match="no-policy"):
        check_site({**config, "policy": str(tmp_path / "no-policy.toml")})
    with pytest.raises(ConfigError, match="no-key"):
        check_site({**config, "site-key": str(tmp_path / "no-key")})


def test_a_roster_without_an_own_key(config, tmp_path):
    policy = policy_file(tmp_path / "policy.toml", roster={"a": "00" * 32})
    with pytest.raises(ConfigError, match="name this site's own key as site-key"):
        check_site({**config, "policy": policy})


class Server:
    """A TLS server on the loopback with the certificate in a folder."""

    def __init__(self, folder, port=0):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "server.crt", folder / "server.key")
        self.context.set_alpn_protocols(["h2"])
        self.listening = socket.create_server(("127.0.0.1", port))
        self.address = f"localhost:{self.listening.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            with connection:
                try:
                    self.context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    continue


def tls(folder, names=("localhost",), days=30):
    make_authority(folder)
    make_server_certificate(folder, names, days)
    return folder


@pytest.fixture
def serving(tmp_path):
    servers = []

    def serve(folder):
        servers.append(Server(folder))
        return servers[-1].address

    yield serve
    for server in servers:
        server.listening.close()


def test_the_right_certificate(tmp_path, serving):
    folder = tls(tmp_path / "tls")
    assert check_coordinator(serving(folder), folder / "ca.crt") is True


def test_another_federations_authority(tmp_path, serving):
    address = serving(tls(tmp_path / "tls"))
    with pytest.raises(ConfigError, match=r"another federation's ca\.crt"):
        check_coordinator(address, tls(tmp_path / "other") / "ca.crt")


def test_a_certificate_for_other_names(tmp_path, serving):
    folder = tls(tmp_path / "tls", ["coordinator.org"])
    with pytest.raises(ConfigError, match="makes one for this name"):
        check_coordinator(serving(folder), folder / "ca.crt")


def test_an_expired_certificate(tmp_path, serving, monkeypatch):
    monkeypatch.setattr("common.certificates.CLOCK_SKEW", timedelta(days=5))
    folder = tls(tmp_path / "tls", days=-1)
    with pytest.raises(ConfigError, match=r"expired.*makes a new one with `syncytium certs`"):
        check_coordinator(serving(folder), folder / "ca.crt")


def test_no_tls_towards_a_coordinator_that_has_it(tmp_path, serving):
    address = serving(tls(tmp_path / "tls"))
    with pytest.raises(ConfigError, match="speaks TLS: give --root-certificates"):
        check_coordinator(address, None)


def test_a_coordinator_that_is_not_there_yet_is_waited_for(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    assert check_coordinator(address, tls(tmp_path / "tls") / "ca.crt") is False


def test_an_authority_that_is_none(tmp_path, serving):
    address = serving(tls(tmp_path / "tls"))
    (tmp_path / "ca.crt").write_text("no certificate")
    with pytest.raises(ConfigError, match=r"it is the ca\.crt that the coordinator sent"):
        check_coordinator(address, tmp_path / "ca.crt")


@pytest.mark.parametrize("address", ["coordinator.org", ":9092", "host:port"])
def test_an_address_that_is_none(address):
    with pytest.raises(ConfigError, match="write it as HOST:PORT"):
        check_coordinator(address, None)


def test_the_command_says_it_and_ends(tmp_path):
    arguments = ["--insecure", "--superlink", "127.0.0.1:1", "--node-config", "data-path='/nope'"]
    command = [sys.executable, "-m", "client.node.supernode", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "syncytium-supernode: data-path = /nope: there is no such file"
    )


def test_a_coordinator_that_comes_later_is_checked_then(config, tmp_path):
    """Flower's node would try again for ever without a word."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    pairs = " ".join(f"{key}='{value}'" for key, value in config.items())
    arguments = ["--insecure", "--superlink", f"localhost:{port}", "--node-config", pairs]
    with socket.create_server(("127.0.0.1", 0)) as other:
        arguments += ["--port", str(other.getsockname()[1])]
    command = [sys.executable, "-m", "client.node.supernode", *arguments]
    node = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(3.0)
        server = Server(tls(tmp_path / "tls"), port)
        _, said = node.communicate(timeout=60)
    finally:
        node.kill()
    server.listening.close()
    assert node.returncode == 1
    assert "speaks TLS: give --root-certificates" in said
