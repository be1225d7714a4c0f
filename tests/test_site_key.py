"""A site's long-term key: made once, for its owner's eyes, and read back."""

import stat
import tomllib

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from common.errors import ConfigError
from common.secure.signing import is_signed
from common.site_key import read_site_key, write_site_key
from tests.test_cli import call, refused


def test_it_comes_back_and_only_its_owner_may_read_it(tmp_path):
    path = tmp_path / "keys" / "bern.key"
    key = write_site_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_site_key(str(path)) == key
    assert is_signed(key.public, key.sign("test", 1, "a"), "test", 1, "a")
    assert key.private.hex() not in repr(key)


def test_an_old_key_is_never_overwritten(tmp_path):
    path = tmp_path / "bern.key"
    before = write_site_key(path)
    with pytest.raises(ConfigError, match="exists: a new key would lock the site out"):
        write_site_key(path)
    assert read_site_key(str(path)) == before


def other_key(path):
    pem = X25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    path.write_bytes(pem)


@pytest.mark.parametrize("write", [other_key, lambda path: path.write_text("hello")])
def test_another_file_is_refused(tmp_path, write):
    path = tmp_path / "k"
    write(path)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="is not a key as `syncytium keys` makes them"):
        read_site_key(str(path))


def test_a_key_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "k"
    write_site_key(path)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match=r"can be read by others: chmod 600"):
        read_site_key(str(path))
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_site_key(str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "changed", [("test", 1, "b"), ("test", 1), ("other", 1, "a"), ("test", "1", "a")]
)
def test_a_signature_holds_for_its_purpose_and_content_alone(tmp_path, changed):
    key = write_site_key(tmp_path / "k")
    signature = key.sign("test", 1, "a")
    assert not is_signed(key.public, signature, *changed)
    assert not is_signed(key.public, b"", "test", 1, "a")
    assert not is_signed(b"short", signature, "test", 1, "a")


def test_the_command_prints_the_line_of_the_roster(tmp_path):
    made = call("keys", "Bern Insel", "--out", tmp_path / "k").stdout
    public = read_site_key(str(tmp_path / "k" / "site.key")).public.hex()
    assert tomllib.loads(made.splitlines()[-1]) == {"Bern Insel": public}
    again = call("keys", "Bern Insel", "--out", tmp_path / "k", "--show").stdout
    assert tomllib.loads(again) == {"Bern Insel": public}
    assert "has node.key" in refused("keys", "Bern Insel", "--out", tmp_path / "k")
    assert "[roster]" in made
