"""A run's app is unpacked once, whole, and never mixed up with another."""

import hashlib
import io
import zipfile

import click
import pytest

from client.node import install
from client.node.install import MARK, install_once


@pytest.fixture
def unpacked(monkeypatch):
    """How often Flower unpacked a bundle."""
    calls, flower = [], install.install_from_fab

    def counted(*arguments, **options):
        calls.append(arguments)
        return flower(*arguments, **options)

    monkeypatch.setattr(install, "install_from_fab", counted)
    return calls


def test_once_for_all_messages(fab, unpacked, tmp_path):
    path = install_once(fab, tmp_path)
    assert (path / "client/app.py").is_file()
    assert path == install_once(fab, tmp_path)
    assert len(unpacked) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["apps"]
    assert path.name.endswith(hashlib.sha256(fab).hexdigest()[:8])


def test_half_of_one_is_replaced(fab, unpacked, tmp_path):
    """As Flower leaves it when it is killed while it copies."""
    path = install_once(fab, tmp_path)
    (path / MARK).unlink()
    (path / "client/app.py").unlink()
    assert install_once(fab, tmp_path) == path
    assert (path / "client/app.py").is_file()
    assert len(unpacked) == 2


def test_another_bundle_of_the_same_short_name_is_not_taken(fab, unpacked, tmp_path):
    path = install_once(fab, tmp_path)
    (path / MARK).write_text(hashlib.sha256(fab).hexdigest()[:8] + "0" * 56)
    (path / "client/app.py").write_text("planted = True")
    install_once(fab, tmp_path)
    assert "planted" not in (path / "client/app.py").read_text()


def test_a_damaged_bundle_leaves_nothing(fab, tmp_path):
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(fab)) as whole, zipfile.ZipFile(changed, "w") as archive:
        for name in whole.namelist():
            text = b"planted = True" if name == "client/app.py" else whole.read(name)
            archive.writestr(name, text)
    with pytest.raises(click.ClickException, match="hashes"):
        install_once(changed.getvalue(), tmp_path)
    assert list(tmp_path.iterdir()) == []
