"""TLS and node keys: what openssl and ssh-keygen think of them; modes; nothing is overwritten."""

import contextlib
import ipaddress
import shutil
import ssl
import stat
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from common.certificates import expiry, make_authority, make_node_key, make_server_certificate
from common.errors import ConfigError
from common.served_certificate import check_served_certificate
from tests.test_cli import call, refused


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_server_certificate_of_an_authority(tmp_path):
    folder = tmp_path / "tls"
    make_authority(folder)
    make_server_certificate(folder, ["coordinator.example.org", "10.0.0.7"], days=30)
    assert {p.name: mode(p) for p in folder.iterdir()} == {
        "ca.key": 0o600,
        "ca.crt": 0o644,
        "server.key": 0o600,
        "server.crt": 0o644,
    }
    certificate = x509.load_pem_x509_certificate((folder / "server.crt").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["coordinator.example.org"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("10.0.0.7")]
    left = expiry(folder / "server.crt") - datetime.now(UTC)
    assert timedelta(days=29) < left <= timedelta(days=30)
    # As OpenSSL sees it, strictly.
    for name in ("coordinator.example.org", "10.0.0.7"):
        handshake(folder, name)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(folder, "other.example.org")
    stranger = tmp_path / "other"
    make_authority(stranger)
    with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
        handshake(folder, "10.0.0.7", authority=stranger)


def handshake(folder, name, authority=None):
    """TLS between a coordinator and a site, in memory."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.crt", folder / "server.key")
    client = ssl.create_default_context(cafile=(authority or folder) / "ca.crt")
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(back, there, server_hostname=name),
        server.wrap_bio(there, back, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    assert ends[0].getpeercert()


@pytest.mark.parametrize("name", ["https://x.org", "x.org:9092", "", "10.0.0.0/8", "zürich.ch"])
def test_a_name_that_is_none_is_refused_before_anything_is_written(tmp_path, name):
    make_authority(tmp_path)
    with pytest.raises(ConfigError, match="is not a host name or an IP address"):
        make_server_certificate(tmp_path, ["good.org", name])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ca.crt", "ca.key"]


def test_nothing_is_overwritten(tmp_path):
    make_authority(tmp_path)
    make_server_certificate(tmp_path, ["a.org"])
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(ConfigError, match=r"has ca\.key, ca\.crt already"):
        make_authority(tmp_path)
    with pytest.raises(ConfigError, match=r"has server\.key, server\.crt already"):
        make_server_certificate(tmp_path, ["a.org"])
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    with pytest.raises(ConfigError, match=r"has no usable ca\.key and ca\.crt"):
        make_server_certificate(tmp_path / "elsewhere", ["a.org"])


def test_a_node_key_is_as_ssh_keygen_makes_them(tmp_path):
    path = tmp_path / "keys" / "node.key"
    make_node_key(path)
    assert (mode(path), mode(path.with_name("node.key.pub"))) == (0o600, 0o644)
    private = load_ssh_private_key(path.read_bytes(), None)
    public = load_ssh_public_key(path.with_name("node.key.pub").read_bytes())
    assert isinstance(private.curve, SECP384R1)
    assert private.public_key() == public
    with pytest.raises(ConfigError, match=r"has node\.key, node\.key\.pub already"):
        make_node_key(path)


def test_the_command(tmp_path):
    done = call("certs", "a.org", "10.0.0.7", "--out", tmp_path / "tls", "--days", 10)
    assert done.exit_code == 0
    assert "keep it off the coordinator" in done.stdout
    authority = (tmp_path / "tls/ca.crt").read_bytes()
    assert "has server.key, server.crt already" in refused(
        "certs", "a.org", "--out", tmp_path / "tls"
    )
    # A new certificate of the same authority: the sites need not be told.
    for name in ("server.key", "server.crt"):
        (tmp_path / "tls" / name).unlink()
    assert call("certs", "a.org", "--out", tmp_path / "tls").exit_code == 0
    assert (tmp_path / "tls/ca.crt").read_bytes() == authority


def test_certificates_are_checked_before_they_are_served(tmp_path):
    folder, other = tmp_path / "tls", tmp_path / "other"
    with pytest.raises(ConfigError, match=r"has no usable server\.crt"):
        check_served_certificate(folder)
    for each in (folder, other):
        make_authority(each)
        make_server_certificate(each, ["coordinator.example.org", "10.0.0.7"], days=30)
    names, until = check_served_certificate(folder)
    assert names == ["coordinator.example.org", "10.0.0.7"]
    assert until == expiry(folder / "server.crt")

    shutil.copy(other / "ca.crt", folder / "ca.crt")
    with pytest.raises(ConfigError, match=r"does not hold by ca\.crt"):
        check_served_certificate(folder)
    shutil.copy(other / "server.key", folder / "server.key")
    with pytest.raises(ConfigError, match=r"server\.key is not the key of server\.crt"):
        check_served_certificate(folder)
    (folder / "server.crt").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n")
    with pytest.raises(ConfigError, match="damaged"):
        check_served_certificate(folder)


def test_an_expired_certificate_is_not_served(tmp_path, monkeypatch):
    monkeypatch.setattr("common.certificates.CLOCK_SKEW", timedelta(days=5))
    make_authority(tmp_path)
    make_server_certificate(tmp_path, ["localhost"], days=-1)
    said = refused("certs", "--check", "--out", str(tmp_path))
    assert "certificate has expired" in said
    assert "syncytium certs" in said


def test_certs_wants_names_or_a_check(tmp_path):
    assert "host names" in refused("certs", "--out", str(tmp_path))
    assert "host names" in refused("certs", "--check", "localhost", "--out", str(tmp_path))
    call("certs", "localhost", "--out", str(tmp_path))
    assert (
        "holds for localhost, 127.0.0.1 until" in call("certs", "--check", "--out", tmp_path).output
    )
