"""Bad input to a whole run: the error names what and where and the mend; nothing half-written."""

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pytest
from flwr.app import Context, RecordDict

from common.errors import ConfigError, InputError, SiteFailure, SyncytiumError
from server.app import main
from tests.in_process import RUN_ID, InProcessGrid
from tests.small_sites import federate, leftovers, run_json, site, three_sites, write_sites

CELLS = {("q", "A"): 30, ("q", "B"): 25}


def good(seed=0):
    return site({("p", "A"): 40, ("p", "B"): 30}, seed=seed)


def bad(change):
    """A site with one fault."""
    data = site(CELLS, seed=1)
    return change(data) or data


def with_values(change):
    """A site whose dense counts are changed in place or replaced."""

    def apply(data):
        x = data.X.toarray().astype(np.float64)
        changed = change(x)
        data.X = (x if changed is None else changed).astype(np.float32)

    return bad(apply)


def log_cp10k(x):
    return np.log1p(1e4 * x / x.sum(axis=1, keepdims=True))


def put(row, column, value):
    def change(x):
        x[row, column] = value

    return change


def renamed(axis, names):
    def change(data):
        setattr(data, axis, names(list(getattr(data, axis))))

    return bad(change)


def without(column):
    def change(data):
        del data.obs[column]

    return bad(change)


# fault: the second site's file, then what the error says besides that file's name
FAULTS = {
    "no batch column": (lambda: without("batch"), "no column 'batch'", "set batch-key"),
    "no cell-type column": (lambda: without("cell_type"), "'cell_type'", "set cell-type-key"),
    "log without sizes": (lambda: with_values(log_cp10k), "log-normalised", "n_counts"),
    "z-scored": (
        lambda: with_values(lambda x: (x - x.mean(axis=0)) / (x.std(axis=0) + 1)),
        "z-scored",
        "put raw counts into layers['counts']",
    ),
    "negative": (lambda: with_values(put(3, 4, -2)), "-2 at cell 'cell-1-3', gene 'G4'", "layer"),
    "NaN": (lambda: with_values(put(5, 6, np.nan)), "NaN", "cell 'cell-1-5', gene 'G6'"),
    "duplicate genes": (
        lambda: renamed("var_names", lambda names: ["G7", *names[1:]]),
        "'G7'",
        "keep one of each",
    ),
    "duplicate cells": (
        lambda: renamed("obs_names", lambda names: ["cell-1-9", *names[1:]]),
        "'cell-1-9'",
        "obs_names_make_unique",
    ),
    "no cells": (lambda: site(CELLS)[:0].copy(), "0 cell(s)", "at least 2"),
    "one cell": (lambda: site(CELLS)[:1].copy(), "1 cell(s)", "at least 2"),
    "no labels": (
        lambda: bad(lambda data: data.obs.__setitem__("cell_type", np.nan)),
        "no cell has a label",
        "needs cell types",
    ),
}


def assert_failed_cleanly(out, error, *said):
    run = run_json(out)
    assert run["status"] == "failed"
    assert run["error"] == str(error)
    for part in said:
        assert part in run["error"]
    assert not list(out.rglob("corrected.h5ad"))
    assert leftovers(out) == []
    assert not (out / "bundle").exists()


@pytest.mark.filterwarnings("ignore:.*names are not unique:UserWarning")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_file_stops_the_run(tmp_path, fault):
    make, *said = FAULTS[fault]
    data = write_sites(tmp_path / "data", [good(), make()])
    with pytest.raises(SiteFailure) as caught:
        federate(tmp_path / "out", data, 2)
    assert_failed_cleanly(tmp_path / "out", caught.value, "site-2.h5ad", *said)
    assert "site-1" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:.*names are not unique:UserWarning")
@pytest.mark.parametrize("fault", ["NaN", "duplicate cells", "one cell"])
def test_a_run_may_go_on_without_a_bad_file(tmp_path, fault):
    make, *said = FAULTS[fault]
    data = write_sites(tmp_path / "data", [good(), make(), good(seed=2)])
    run = federate(tmp_path / "out", data, 3, **{"on-site-error": "continue", "min-sites": 2})
    assert run["status"] == "finished"
    assert sorted(run["sites"]) == ["site-1", "site-3"]
    (reason,) = run["lost_sites"].values()
    assert all(part in reason for part in ("site-2.h5ad", *said))
    assert run["n_corrected"] == run["n_cells"] == 140
    corrected = sorted(path.parent.name for path in tmp_path.rglob("corrected.h5ad"))
    assert corrected == ["site-1", "site-3"]
    assert leftovers(tmp_path / "out") == []


def test_a_missing_file(tmp_path):
    data = write_sites(tmp_path / "data", [good()])
    (data / "site-2.h5ad").symlink_to(tmp_path / "moved.h5ad")
    with pytest.raises(SiteFailure) as caught:
        federate(tmp_path / "out", data, 2)
    assert_failed_cleanly(tmp_path / "out", caught.value, "no file", "site-2.h5ad", "set data-path")


@pytest.mark.parametrize("text", [b"PK\x03\x04 something else", b""])
def test_a_file_that_is_no_h5ad(tmp_path, text):
    data = write_sites(tmp_path / "data", [good()])
    (data / "site-2.h5ad").write_bytes(text)
    with pytest.raises(SiteFailure) as caught:
        federate(tmp_path / "out", data, 2)
    assert_failed_cleanly(tmp_path / "out", caught.value, "site-2.h5ad", "write it with anndata")


def test_a_missing_folder(tmp_path):
    with pytest.raises(SiteFailure) as caught:
        federate(tmp_path / "out", tmp_path / "absent", 1)
    assert_failed_cleanly(tmp_path / "out", caught.value, "absent", "give the absolute path of one")


def test_no_gene_in_common(tmp_path):
    other = renamed("var_names", lambda names: [f"ENSG{i:011d}" for i in range(len(names))])
    data = write_sites(tmp_path / "data", [good(), other])
    with pytest.raises(SyncytiumError) as caught:
        federate(tmp_path / "out", data, 2)
    said = ("no gene is shared", "'site-1'", "'site-2'", "ENSG", "Set gene-column")
    assert_failed_cleanly(tmp_path / "out", caught.value, *said)


def test_one_cell_type_only(tmp_path):
    sites = [site({("p", "A"): 40}), site({("q", "A"): 30}, seed=1)]
    with pytest.raises(InputError) as caught:
        federate(tmp_path / "out", write_sites(tmp_path / "data", sites), 2)
    said = ("one cell type only (A)", "at least 2")
    assert_failed_cleanly(tmp_path / "out", caught.value, *said)


def test_one_cell_type_in_two_spellings(tmp_path):
    spelt = [{("p", "T cell"): 40, ("p", "A"): 20}, {("q", "T_cell"): 30, ("q", "A"): 20}]
    sites = [site(cells, seed=number) for number, cells in enumerate([*spelt, spelt[1]])]
    with pytest.raises(InputError) as caught:
        federate(tmp_path / "out", write_sites(tmp_path / "data", sites), 3)
    # The spelling that most sites have is advised.
    said = ("differ only in case", "rename 'T cell' to 'T_cell'")
    assert_failed_cleanly(tmp_path / "out", caught.value, *said)


def test_an_unknown_key_of_the_run_config(tmp_path):
    config = {"out": str(tmp_path / "out"), "n-top-gene": 5, "learning-rat": 0.1}
    context = Context(RUN_ID, 1, {}, RecordDict(), config)
    with pytest.raises(ConfigError) as caught:
        main(InProcessGrid(1, config), context)
    assert "unknown key 'n-top-gene': did you mean 'n-top-genes'" in str(caught.value)
    assert "unknown key 'learning-rat': did you mean 'learning-rate'" in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rounds": -1}, "rounds = -1"),
        ({"hidden": "32;32"}, "hidden = '32;32'"),
        ({"hidden": "0"}, "hidden = '0'"),
        ({"batch_size": 1}, "batch-size = 1"),
        ({"device": "gpu"}, "device = 'gpu'"),
        ({"min-sites": 4}, "min-sites = 4"),
    ],
)
def test_a_setting_that_does_not_fit(tmp_path, settings, said):
    data = write_sites(tmp_path / "data", [good()])
    with pytest.raises(ConfigError, match=said):
        federate(tmp_path / "out", data, 1, **settings)
    assert leftovers(tmp_path) == []


def test_an_absent_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    data = write_sites(tmp_path / "data", [good()])
    with pytest.raises(SiteFailure) as caught:
        federate(tmp_path / "out", data, 1, device="cuda:3")
    said = ("device = 'cuda:3'", "0 GPUs are visible", "set device = 'auto' or 'cpu'")
    assert_failed_cleanly(tmp_path / "out", caught.value, "site-1", *said)


def test_a_run_that_diverges_says_which_setting(tmp_path):
    data = write_sites(tmp_path / "data", [good()])
    with pytest.raises(SiteFailure) as caught:
        federate(tmp_path / "out", data, 1, learning_rate=1e12, preset="fedscgen", rounds=4)
    said = ("site-1", "learning-rate")
    assert_failed_cleanly(tmp_path / "out", caught.value, *said)


@pytest.fixture
def failing_in_round_2(monkeypatch):
    from client.phases import fit

    real = fit.run

    def run(site, request, outbox):
        real(site, request, outbox)

        if site.name == "site-2" and request.values["round"] == 2:
            raise ValueError("the lights went out")

    monkeypatch.setattr(fit, "run", run)


def test_a_site_that_raises_midway_stops_the_run(tmp_path, failing_in_round_2):
    data = write_sites(tmp_path / "data", three_sites())
    with pytest.raises(SiteFailure) as caught:
        federate(tmp_path / "out", data, 3, rounds=3)
    said = ("phase fit failed at site-2", "ValueError", "the lights went out")
    assert_failed_cleanly(tmp_path / "out", caught.value, *said)
    assert list(run_json(tmp_path / "out")["lost_sites"]) == ["site-2"]


def test_a_run_goes_on_without_a_site_that_raises_midway(tmp_path, failing_in_round_2):
    sites = three_sites()
    data = write_sites(tmp_path / "data", sites)
    settings = {"on-site-error": "continue", "min-sites": 2, "rounds": 3}
    run = federate(tmp_path / "out", data, 3, **settings)
    assert run["status"] == "finished"
    assert list(run["lost_sites"]) == ["site-2"]
    assert "the lights went out" in run["lost_sites"]["site-2"]
    assert run["n_corrected"] == sites[0].n_obs + sites[2].n_obs
    corrected = sorted(path.parent.name for path in tmp_path.rglob("corrected.h5ad"))
    assert corrected == ["site-1", "site-3"]


def test_too_few_sites_are_left(tmp_path, failing_in_round_2):
    settings = {"on-site-error": "continue", "min-sites": 3}
    data = write_sites(tmp_path / "data", three_sites())
    with pytest.raises(SyncytiumError) as caught:
        federate(tmp_path / "out", data, 3, **settings)
    said = ("2 sites are left", "min-sites is 3", "site-2", "the lights went out")
    assert_failed_cleanly(tmp_path / "out", caught.value, *said)


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def half_copied(source, target):
    target.write_bytes(source.read_bytes()[:1000])
    full()


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("client.own_copy.shutil.copyfile", half_copied),
        ("client.corrected_file._write_chunks", full),
        ("client.corrected_file.add_columns", full),
        ("client.own_copy.tempfile.mkstemp", full),
    ],
)
def test_a_disk_that_is_full(tmp_path, monkeypatch, name, fault):
    monkeypatch.setattr(name, fault)
    data = write_sites(tmp_path / "data", three_sites())
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    with pytest.raises(SiteFailure) as caught:
        federate(tmp_path / "out", data, 3)
    run = run_json(tmp_path / "out")
    assert (run["status"], run["error"]) == ("failed", str(caught.value))
    for part in ("site-2", "corrected.h5ad", "No space left", "make room or set output-dir"):
        assert part in run["error"]
    assert not list(tmp_path.rglob("corrected.h5ad"))
    assert leftovers(tmp_path / "out") == []
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before


WRITE = """
import resource, sys
from pathlib import Path
import anndata, numpy as np
from client.corrected_file import write_corrected
from common.panel import Panel
from common.errors import DiskError

source, target, room = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
n_cells = anndata.read_h5ad(source).n_obs
genes = tuple(f"G{i}" for i in range(50))
size = source.stat().st_size + room
resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
try:
    write_corrected(
        source,
        target,
        latent=np.zeros((n_cells, 5), np.float32),
        latent_corrected=np.zeros((n_cells, 5), np.float32),
        obs={"shifted": np.zeros(n_cells, bool)},
        panel=Panel(genes, genes, np.zeros(50), np.ones(50)),
        outputs={"decoded": iter([np.random.rand(n_cells, 50).astype(np.float32)])},
        about={},
    )
except DiskError as error:
    print(error)
"""


@pytest.mark.parametrize("room", [1000, 200_000])
def test_files_that_may_not_grow(tmp_path, room):
    """A true limit of the system, in a process of its own: HDF5 itself would end that process."""
    source = tmp_path / "site.h5ad"
    site({("p", "A"): 1000}).write_h5ad(source)
    target = tmp_path / "output" / "corrected.h5ad"
    done = subprocess.run(
        [sys.executable, "-c", WRITE, source, target, str(room)],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"{target} cannot be written: File too large" in done.stdout
    assert "make room or set output-dir" in done.stdout
    assert list(target.parent.iterdir()) == []


def test_a_written_file_takes_no_more_room_than_it_needs(tmp_path):
    """What was reserved and not used is given back."""
    data = write_sites(tmp_path / "data", three_sites())
    run = federate(tmp_path / "out", data, 3)
    added = 0
    for number in (1, 2, 3):
        corrected = tmp_path / f"out/sites/site-{number}/corrected.h5ad"
        added += corrected.stat().st_size - (data / f"site-{number}.h5ad").stat().st_size
    assert added < 4 * run["n_cells"] * (10 + run["n_genes"]) + 3 * 60_000


def test_an_old_result_stays_when_the_disk_is_full(tmp_path, monkeypatch):
    """The corrected file is replaced whole or not at all."""
    data = write_sites(tmp_path / "data", three_sites())
    federate(tmp_path / "one", data, 3)
    shutil.copytree(tmp_path / "one/sites", tmp_path / "two/sites")
    old = (tmp_path / "two/sites/site-1/corrected.h5ad").read_bytes()
    monkeypatch.setattr("client.corrected_file.add_columns", full)
    with pytest.raises(SiteFailure):
        federate(tmp_path / "two", data, 3)
    assert (tmp_path / "two/sites/site-1/corrected.h5ad").read_bytes() == old


def test_no_shared_cell_type_is_the_identity(tmp_path):
    sites = [
        site({("p", "A"): 40, ("p", "B"): 30}),
        site({("q", "C"): 35, ("q", "D"): 25}, seed=1),
    ]
    data = write_sites(tmp_path / "data", sites)
    run = federate(tmp_path / "out", data, 2, output="both")
    assert (run["status"], run["identity"], run["n_shifted"]) == ("finished", True, 0)
    assert run["largest_batch"] == {}
    assert run["types_of_one_site"] == list("ABCD")
    assert run["n_corrected"] == 130
    for number, before in enumerate(sites, start=1):
        after = anndata.read_h5ad(tmp_path / f"out/sites/site-{number}/corrected.h5ad")
        expected = log_cp10k(before.X.toarray().astype(np.float64))
        columns = before.var_names.get_indexer(after.uns["syncytium"]["genes"])
        assert len(columns) == run["n_genes"]
        for output in ("decoded", "residual"):
            np.testing.assert_allclose(after.obsm[output], expected[:, columns], atol=1e-5)
        assert not after.obs["syncytium_shifted"].any()
        assert np.array_equal(after.obsm["X_latent"], after.obsm["X_latent_corrected"])


def test_a_folder_that_holds_a_run(tmp_path):
    data = write_sites(tmp_path / "data", three_sites())
    federate(tmp_path / "out", data, 3)
    before = (tmp_path / "out/run.json").read_bytes()
    with pytest.raises(SyncytiumError, match=r"out holds a run already; go on with it by --resume"):
        federate(tmp_path / "out", data, 3)
    assert (tmp_path / "out/run.json").read_bytes() == before


def test_two_sites_of_one_name(tmp_path, monkeypatch):
    from client.site import Site

    data = write_sites(tmp_path / "data", three_sites())
    monkeypatch.setattr(Site, "name", "clinic")
    with pytest.raises(ConfigError) as caught:
        federate(tmp_path / "out", data, 3)
    said = ("two sites are named 'clinic'", "set name in their node-config")
    assert_failed_cleanly(tmp_path / "out", caught.value, *said)
