"""A site: whose settings hold, which file, the cache, and what an error tells the coordinator."""

import os
import time
from pathlib import Path

import anndata
import numpy as np
import pytest
from flwr.app import Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from client.app import app as client_app
from client.site import Site
from common.config import RunConfig
from common.errors import ConfigError, InputError
from common.panel import Panel
from strategies.records import to_record, values_of
from tests.small_sites import federate, lines, site, write_sites

CELLS = {("p", "A"): 30, ("p", "B"): 20, ("q", "A"): 15}
VOCABULARY = tuple(sorted(f"G{i}" for i in range(60)))
GENES = VOCABULARY[5:25]
PANEL = Panel(VOCABULARY, GENES, np.zeros(20), np.ones(20))


@pytest.fixture
def path(tmp_path):
    return write_sites(tmp_path / "data", [site(CELLS)]) / "site-1.h5ad"


def run_config(**settings):
    values = {key.replace("_", "-"): value for key, value in settings.items()}
    return RunConfig.parse(values, where="test").flat()


def real(path, tmp_path, config=None, **node):
    node = {key.replace("_", "-"): value for key, value in node.items()}
    node = {"data-path": str(path), "output-dir": str(tmp_path / "output"), "report": False} | node
    return Site.from_context(config or run_config(), node, 7)


def ask(phase, content, node_config, config=None, kind="query"):
    """The reply of a ClientApp with this node config to one message."""
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 7, 5
    message = Message(content, dst_node_id=5, message_type=f"{kind}.{phase}")
    message.metadata.__dict__["_message_id"] = "a"
    context = Context(7, 5, node_config, RecordDict(), config or run_config())
    return values_of(client_app(message, context).content)


def test_a_real_node_has_a_data_path(path, tmp_path):
    own = real(path, tmp_path)
    assert not own.simulated
    assert own.name == "site-1"
    assert own.outbox_log == tmp_path / "output" / "outbox.jsonl"
    assert own.cache_dir == tmp_path / "output" / "cache"
    named = real(path, tmp_path, name="Bern", cache_dir=str(tmp_path / "fast"))
    assert (named.name, named.cache_dir) == ("Bern", tmp_path / "fast")


def test_a_data_path_wins_over_flowers_simulation_keys(path, tmp_path):
    """Flower's own partition keys, on a node that has a file, do not make it a simulated one."""
    node = {"data-path": str(path), "partition-id": 0, "num-partitions": 9}
    own = Site.from_context(run_config(data="/nowhere"), node, 7)
    assert not own.simulated
    assert own.file.n_cells == 65


def test_a_simulated_site_takes_its_file_by_number(tmp_path):
    data = write_sites(tmp_path / "data", [site(CELLS, seed=s) for s in range(3)])
    config = run_config(data=str(data), out=str(tmp_path / "out"))
    for index in range(3):
        own = Site.from_context(config, {"partition-id": index, "num-partitions": 3}, 7)
        assert own.simulated
        assert own.name == f"site-{index + 1}"
        assert own.file.obs_names[0] == f"cell-{index}-0"
        assert own.output_dir == tmp_path / "out" / "sites" / own.name


def test_a_real_site_alone_says_which_columns_are_read(path, tmp_path):
    data = anndata.read_h5ad(path)
    data.obs["lane"] = np.where(np.arange(data.n_obs) < 10, "x", "y")
    data.var["symbol"] = [f"S{i}" for i in range(60)]
    data.write_h5ad(path)
    plain = real(path, tmp_path)
    assert set(plain.file.batches) == {"p", "q"}
    own = real(path, tmp_path, batch_key="lane", gene_column="symbol")
    assert set(own.file.batches) == {"x", "y"}
    assert own.file.genes[:2] == ["S0", "S1"]
    assert own.keys["cell_type_key"] == "cell_type"
    # An empty key is a setting too: the whole site is one batch.
    assert set(real(path, tmp_path, batch_key="").file.batches) == {"site-1"}
    # The coordinator cannot have another column's names published, a donor's for example.
    asked = real(path, tmp_path, run_config(cell_type_key="lane", batch_key="lane"))
    assert set(asked.file.cell_types) == set(plain.file.cell_types)
    assert set(asked.file.batches) == {"p", "q"}


def test_an_unknown_node_config_key(path, tmp_path):
    with pytest.raises(ConfigError, match=r"node config: unknown key 'data-pth': did you mean"):
        real(path, tmp_path, **{"data-pth": "x"})
    with pytest.raises(ConfigError, match="threads = 0"):
        real(path, tmp_path, threads=0)


def test_a_node_without_a_file_is_told_the_key():
    with pytest.raises(ConfigError, match=r"node config: data-path"):
        Site.from_context(run_config(), {"name": "Bern"}, 7)


def test_a_simulation_needs_one_file_per_node(tmp_path):
    data = write_sites(tmp_path / "data", [site(CELLS)])
    node = {"partition-id": 0, "num-partitions": 2}
    with pytest.raises(ConfigError, match=r"1 \.h5ad files .* 2 nodes.*num-supernodes=1"):
        Site.from_context(run_config(data=str(data)), node, 7)
    with pytest.raises(InputError, match=r"data = '.*absent' is not a folder"):
        Site.from_context(run_config(data=str(tmp_path / "absent")), node, 7)


def test_without_data_the_demo_is_made_once_and_the_same(tmp_path):
    node = {"partition-id": 1, "num-partitions": 2}
    made = []
    for name in ("one", "two"):
        config = run_config(out=str(tmp_path / name))
        own = Site.from_context(config, node, 7)
        assert own.name == "hospital-2"
        path = Path(own.node.data_path)
        assert path.parent == tmp_path / name / "data"
        assert [p.name for p in path.parent.iterdir()] == ["hospital-2.h5ad"]
        before = path.stat().st_mtime_ns
        Site.from_context(config, node, 7)
        assert path.stat().st_mtime_ns == before
        made.append(anndata.read_h5ad(path))
    assert made[0].n_obs > 500
    assert (made[0].X != made[1].X).nnz == 0


@pytest.fixture
def preprocessed(monkeypatch):
    """Counts how often a site's matrix is made anew."""
    made = []
    make = Site._log_chunks

    def counting(self, panel):
        made.append(self.name)
        return make(self, panel)

    monkeypatch.setattr(Site, "_log_chunks", counting)
    return made


def test_a_second_message_reads_the_cache(path, tmp_path, preprocessed):
    counts = anndata.read_h5ad(path)[:, list(GENES)].X.toarray().astype(np.float64)
    totals = anndata.read_h5ad(path).X.sum(axis=1)
    expected = np.log1p(1e4 * counts / np.asarray(totals))
    for _ in range(3):
        # A new Site, as in the new process of a real node.
        matrix = real(path, tmp_path).matrix(PANEL)
        np.testing.assert_allclose(matrix.log(slice(None)), expected, rtol=1e-6)
    assert preprocessed == ["site-1"]
    assert len(list((tmp_path / "output/cache").iterdir())) == 1


def test_latents_are_kept_for_one_encoder_and_scaling(path, tmp_path):
    other = Panel(VOCABULARY, GENES, np.ones(20), np.ones(20))
    latent = np.arange(195, dtype=np.float32).reshape(65, 3)
    real(path, tmp_path).keep_latent(other, "a", latent + 1)
    # Those of an earlier, unfinished run go.
    real(path, tmp_path).keep_latent(PANEL, "a", latent)
    own = real(path, tmp_path)
    np.testing.assert_array_equal(own.kept_latent(PANEL, "a"), latent)
    assert own.kept_latent(PANEL, "b") is None
    assert own.kept_latent(other, "a") is None
    assert len(list(own.cache_dir.iterdir())) == 1
    own.drop_latents()
    assert own.kept_latent(PANEL, "a") is None
    assert list(own.cache_dir.iterdir()) == []


def test_a_full_disk_does_not_lose_latents_in_memory(path, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    own = real(path, tmp_path)
    own.keep_latent(PANEL, "a", np.zeros((65, 3)))
    assert own.kept_latent(PANEL, "a") is None
    assert list(own.cache_dir.iterdir()) == []


def test_a_changed_file_is_read_anew(path, tmp_path, preprocessed):
    first = real(path, tmp_path).matrix(PANEL).log(slice(None))
    data = anndata.read_h5ad(path)
    x = data.X.toarray()
    x[:, 0] = 1
    data.X = x
    data.write_h5ad(path)
    os.utime(path, ns=(time.time_ns(), time.time_ns()))
    second = real(path, tmp_path).matrix(PANEL).log(slice(None))
    assert len(preprocessed) == 2
    assert np.abs(first - second).max() > 0.01


def test_a_file_changed_to_the_same_size_is_read_anew(path, tmp_path, preprocessed):
    real(path, tmp_path).matrix(PANEL)
    size = path.stat().st_size
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))
    assert path.stat().st_size == size
    real(path, tmp_path).matrix(PANEL)
    assert len(preprocessed) == 2


@pytest.mark.parametrize("change", ["setting", "genes", "vocabulary"])
def test_other_settings_make_another_matrix(path, tmp_path, preprocessed, change):
    data = anndata.read_h5ad(path)
    data.layers["more"] = data.X * 3
    data.write_h5ad(path)
    first = real(path, tmp_path).matrix(PANEL)
    node, panel = {}, PANEL
    if change == "setting":
        node = {"layer": "more"}
    elif change == "genes":
        panel = Panel(VOCABULARY, GENES[::-1], PANEL.mean, PANEL.sd)
    else:
        panel = Panel(VOCABULARY[:30], GENES, PANEL.mean, PANEL.sd)
    second = real(path, tmp_path, **node).matrix(panel)
    assert len(preprocessed) == 2
    if change == "genes":
        assert np.array_equal(first.log(slice(None)), second.log(slice(None))[:, ::-1])
    if change == "vocabulary":
        assert np.abs(first.log(slice(None)) - second.log(slice(None))).max() > 0.01
    # The first is still there.
    real(path, tmp_path).matrix(PANEL)
    assert len(preprocessed) == 2


def test_scaling_does_not_make_another_matrix(path, tmp_path, preprocessed):
    """Only the genes decide what is cached; means and deviations are applied to mini-batches."""
    real(path, tmp_path).matrix(PANEL)
    other = Panel(VOCABULARY, GENES, np.full(20, 2.0), np.full(20, 0.5))
    scaled = real(path, tmp_path).matrix(other)
    assert len(preprocessed) == 1
    values = scaled.log(slice(None))
    expected = np.clip((values - 2.0) / 0.5, -10, 10)
    np.testing.assert_allclose(scaled.scaled(slice(None)).numpy(), expected, rtol=1e-6)


def test_a_run_preprocesses_each_site_once_and_leaves_no_cache(tmp_path, preprocessed):
    data = write_sites(tmp_path / "data", [site(CELLS, seed=s) for s in range(2)])
    federate(tmp_path / "out", data, 2)
    assert preprocessed == ["site-1", "site-2"]
    assert not list((tmp_path / "out").rglob("cache"))


SECRET = 7731.0


@pytest.fixture
def faulty(path):
    """A file whose fault, a fraction among counts, holds a value of the data."""
    data = anndata.read_h5ad(path)
    x = data.X.toarray()
    x[3, 4] = -SECRET
    data.X = x
    data.write_h5ad(path)
    return path


def test_a_real_node_tells_no_value(faulty, tmp_path, caplog):
    node = {"data-path": str(faulty), "output-dir": str(tmp_path / "output")}
    (error,) = ask("describe", to_record({}, {}), node).values()
    assert error["kind"] == "CountsError"
    assert error["reason"] == (
        "The site's matrix is not counts and cannot be turned back; "
        "`syncytium check` there says why."
    )
    # The site's own log has it all.
    assert "7.73e+03" in caplog.text
    assert "cell-0-3" in caplog.text


def test_a_simulated_site_tells_all(faulty, tmp_path):
    config = run_config(data=str(faulty.parent), out=str(tmp_path / "out"))
    node = {"partition-id": 0, "num-partitions": 1}
    (error,) = ask("describe", to_record({}, {}), node, config).values()
    assert "7.73e+03" in error["reason"]
    assert "site-1.h5ad" in error["reason"]


def test_an_unforeseen_error_of_a_real_node_tells_its_kind_only(
    path, tmp_path, monkeypatch, caplog
):
    def fail(*_):
        raise ValueError(f"cell 3 has {SECRET}")

    monkeypatch.setattr("client.phases.describe.run", fail)
    node = {"data-path": str(path), "output-dir": str(tmp_path / "output")}
    (error,) = ask("describe", to_record({}, {}), node).values()
    assert error["reason"] == ("ValueError in phase describe; the site's own log has the reason")
    assert str(SECRET) not in caplog.text
    # What left is logged as it left, and beside it what the site alone may know.
    (line,) = lines(tmp_path / "output" / "outbox.jsonl")
    assert line["refused"] == error
    assert str(SECRET) in line["why"]


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"data-path": "/absent/patients-1234.h5ad"}, "`syncytium check`"),
        ({"data-path": "x", "devise": "cpu"}, "node-config is wrong"),
        ({}, "node-config is wrong"),
        ({"data-path": "/absent/patients-1234.h5ad", "partition-id": 0}, "`syncytium check`"),
        ({"data-path": "x", "devise": "cpu", "partition-id": 0}, "node-config is wrong"),
    ],
)
def test_paths_and_keys_stay_at_a_real_node(node, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (error,) = ask("describe", to_record({}, {}), node).values()
    assert said in error["reason"]
    assert "1234" not in error["reason"]
    assert "devise" not in error["reason"]


def test_a_run_config_of_another_version_is_refused_with_its_key_and_logged(path, tmp_path):
    node = {"data-path": str(path), "output-dir": str(tmp_path / "output")}
    config = {**run_config(), "new-key": 1}
    (error,) = ask("describe", to_record({}, {}), node, config).values()
    assert "unknown key 'new-key'" in error["reason"]
    (line,) = lines(tmp_path / "output" / "outbox.jsonl")
    assert line["refused"] == error


def test_a_real_site_takes_part_in_unmasked_sums_only_if_it_says_so_itself(path, tmp_path):
    node = {"data-path": str(path), "output-dir": str(tmp_path / "output")}
    config = run_config(secure_sum="off")
    (error,) = ask("describe", to_record({}, {}), node, config).values()
    assert "secure-sum = off" in error["reason"]
    assert error["reason"].startswith("policy rule require-masking")
    (line,) = lines(tmp_path / "output" / "outbox.jsonl")
    assert line["refused"] == error
    policy = tmp_path / "policy.toml"
    policy.write_text("require-masking = false\n")
    allowed = ask("describe", to_record({}, {}), {**node, "policy": str(policy)}, config)
    assert allowed["public"]["site"] == "site-1"


def test_a_real_node_describes_itself(path, tmp_path):
    node = {"data-path": str(path), "output-dir": str(tmp_path / "output"), "name": "Bern"}
    public = ask("describe", to_record({}, {}), node)["public"]
    assert public["site"] == "Bern"
    assert public["genes"] == sorted(f"G{i}" for i in range(60))
    assert public["cell_types"] == ["A", "B"]
    assert (tmp_path / "output/outbox.jsonl").exists()


def test_a_run_encodes_each_site_once(tmp_path, monkeypatch):
    from client import latents

    encoded, encode = [], latents.encode

    def counting(model, matrix, device):
        encoded.append(matrix.shape[0])
        return encode(model, matrix, device)

    monkeypatch.setattr(latents, "encode", counting)
    data = write_sites(tmp_path / "data", [site(CELLS, seed=s) for s in range(2)])
    federate(tmp_path / "out", data, 2)
    assert encoded == [65, 65]
