"""``synthesize`` over real nodes, one of which is killed while it works on a release."""

import json
import math

import anndata
import pytest

from bench.nodes import nodes
from common.privacy.site_budget import SiteBudget
from common.synthesis.of_run import generator_of, schema_of
from common.synthesis.pooled import mu_of_run, variance_of
from tests.disturbed import SECONDS, wait_until
from tests.node_runs import said, start_run, start_site
from tests.real_sites import policy_file
from tests.small_cohorts import GENES, cohorts, config_of
from tests.small_sites import lines, run_json, write_sites

pytestmark = pytest.mark.nodes

NAMES = ["site-1", "site-2", "site-3", "site-4"]
SURVIVORS, KILLED = NAMES[:3], NAMES[3]
STAGES = ["coarse", "center", "classes", "scatter"]
EPSILON, DELTA = 2.0, 1e-5
SETTINGS = {
    "task": "synthesize",
    "generator": "gaussian",
    "epsilon": EPSILON,
    "n_sites": 4,
    "min_sites": 3,
    "on_site_error": "continue",
}


@pytest.fixture
def federation(tmp_path):
    data = write_sites(tmp_path / "data", cohorts(4))
    with nodes(tmp_path / "nodes") as started:
        for name in NAMES:
            start(started, data, name)
        yield started


def start(federation, data, name):
    path = federation.folder / f"{name}.toml"
    state = str(federation.folder / f"state-{name}")
    policy = policy_file(path, max_epsilon=4.0, dataset="cohort", state_dir=state)
    start_site(federation, data, name, batch_key="", policy=policy)


def paid(federation, name):
    """Number of each release that a site has paid, in their order, by run."""
    path = federation.folder / f"state-{name}/privacy_budget.json"
    found = {}
    for line in json.loads(path.read_text())["releases"]:
        run, phase, number = line["release"].split("/")
        assert phase == "noised_sums"
        # The killed one may have been at it.
        assert line["state"] == "committed" or name == KILLED
        found.setdefault(run, []).append(int(number))
    return found


def spent(federation, name):
    folder = federation.folder / f"state-{name}"
    return SiteBudget(folder, "cohort", "record", 4.0, DELTA).spent()


def phases(federation, name):
    path = federation.folder / name / "log.jsonl"
    told = lines(path) if path.exists() else []
    return [line["phase"] for line in told if line.get("event") == "phase begins"]


def kill_at_the_second_release(federation, process):
    """While it works on it: reading a file and drawing noise take a second or so."""

    def at_work():
        return phases(federation, KILLED).count("noised_sums") == 2

    wait_until(at_work, "the second release", process)
    federation.kill(federation.sites[KILLED])


def central_variances():
    """Of the noise that a trusted centre would add, by stage."""
    config = config_of(**{key: SETTINGS[key] for key in ("generator", "epsilon")})
    made = generator_of(config, schema_of(config, sorted(GENES), ["A", "B"]))
    mu = mu_of_run(EPSILON, DELTA)
    return {stage.name: float(variance_of(stage, mu)) for stage in made.stages}


def test_a_run_goes_on_where_its_noise_covers_the_killed_node(federation):
    # Sooner than the SuperLink tells that a node is gone.
    process = start_run(federation, **SETTINGS, noise_lost=1, deadlines="noised_sums=30")
    kill_at_the_second_release(federation, process)
    assert process.wait(SECONDS) == 0, said(federation)
    run = run_json(federation.folder / "run")
    assert run["status"] == "finished"
    assert list(run["lost_sites"]) == [KILLED]
    (loss,) = run["losses"]
    assert (loss["site"], loss["phase"]) == (KILLED, "noised_sums")
    privacy = run["privacy"]
    stages, central = privacy["stages"], central_variances()
    begun_and_opened = [(s["n_sites"], s["survivors"]) for s in stages.values()]
    assert begun_and_opened == [(4, 4), (4, 3), (3, 3), (3, 3)]
    assert (privacy["lost"], privacy["n_sites"]) == (1, 4)
    # Three of the four shares are as much as stated; elsewhere there is one more than needed.
    for name, times in zip(STAGES, (4 / 3, 1, 3 / 2, 3 / 2), strict=True):
        assert stages[name]["sigma"] ** 2 == pytest.approx(times * central[name])
    assert 1.0 < privacy["epsilon_outsiders"] <= EPSILON
    # What was drawn is what is told.
    for name in SURVIVORS:
        outbox = lines(federation.folder / name / "outbox.jsonl")
        drawn = [line["noise_variance"] for line in outbox if line["phase"] == "noised_sums"]
        shared = zip(STAGES, (3, 3, 2, 2), strict=True)
        assert drawn == pytest.approx([central[stage] / honest for stage, honest in shared])
        # A site pays for the worst that was agreed on.
        assert list(paid(federation, name).values()) == [[1, 2, 3, 4]]
        assert spent(federation, name) == pytest.approx(EPSILON, rel=1e-4)
    assert list(paid(federation, KILLED).values()) in ([[1]], [[1, 2]])
    made = anndata.read_h5ad(federation.folder / "run/synthetic.h5ad")
    assert made.n_obs == run["n_synthetic"] > 0
    assert float(made.uns["privacy"]["epsilon"]) == EPSILON


def test_otherwise_the_release_is_void_and_resume_pays_it_once_more(federation, tmp_path):
    # Lost by the SuperLink's word: until then a resumed run would count the dead node as well.
    process = start_run(federation, **SETTINGS)
    kill_at_the_second_release(federation, process)
    assert process.wait(SECONDS) != 0
    assert "release 2 (center) is void: 1 of 4 sites are lost" in " ".join(said(federation).split())
    out = federation.folder / "run"
    run = run_json(out)
    assert run["status"] == "failed"
    assert run["void_release"] == {"stage": "center", "number": 2}
    assert not (out / "synthetic.h5ad").exists()
    assert not (out / "bundle").exists()
    assert [path.name for path in (out / "noisy_sums").iterdir()] == ["1.npz"]
    # Nobody is asked to open it, and what it cost stays spent.
    once = {}
    for name in SURVIVORS:
        assert phases(federation, name)[-1] == "noised_sums"
        ((first, numbers),) = paid(federation, name).items()
        assert numbers == [1, 2]
        once[name] = spent(federation, name)
    assert paid(federation, KILLED)[first][0] == 1

    start(federation, tmp_path / "data", KILLED)
    process = start_run(federation, "--resume", **SETTINGS)
    assert process.wait(SECONDS) == 0, said(federation)
    run = run_json(out)
    assert run["status"] == "finished"
    stages, central = run["privacy"]["stages"], central_variances()
    for name in STAGES:
        assert (stages[name]["n_sites"], stages[name]["survivors"]) == (4, 4)
        assert stages[name]["sigma"] ** 2 == pytest.approx(central[name])
    # The cohort is made of four releases, which keep to epsilon; a site has paid five.
    assert run["privacy"]["epsilon_outsiders"] <= EPSILON
    for name in SURVIVORS:
        assert list(paid(federation, name).values()) == [[1, 2], [2, 3, 4]]
        assert once[name] < EPSILON < spent(federation, name) < 1.2 * EPSILON
    assert list(paid(federation, KILLED).values())[1] == [2, 3, 4]
    assert math.isfinite(spent(federation, KILLED))
    assert (out / "synthetic.h5ad").exists()
