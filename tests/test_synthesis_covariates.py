"""`syncytium evaluate` of a cohort whose classes are labels and covariates."""

import json
import shutil

import anndata
import pytest

from report.synthesis_evaluation import evaluate_synthesis
from report.synthetic_cohort import read_cohorts
from tests.small_cohorts import OFF, cohort, cohorts, synthesize
from tests.test_cli import call, refused


@pytest.fixture(scope="module")
def by_sex(tmp_path_factory):
    """A real run over three simulated sites whose classes are labels and sexes."""
    folder = tmp_path_factory.mktemp("covariates")
    synthesize(folder / "run", cohorts(3), covariate_keys="sex", **OFF)
    held_out = cohort({"A": 40, "B": 40}, seed=9)
    held_out.write_h5ad(folder / "held_out.h5ad")
    del held_out.obs["sex"]
    held_out.write_h5ad(folder / "without.h5ad")
    return folder


def test_classes_of_label_and_covariates_are_compared_as_such(by_sex):
    found = evaluate_synthesis(by_sex / "run", held_out=[by_sex / "held_out.h5ad"])
    assert found["classes"] == ["A|f", "A|m", "B|f", "B|m"]
    assert found["n_left_out"] == 0
    own = anndata.read_h5ad(by_sex / "held_out.h5ad").obs
    wanted = (own["cell_type"].astype(str) + "|" + own["sex"].astype(str)).to_numpy()
    config = json.loads((by_sex / "run/run.json").read_text())["config"]
    held_out = read_cohorts(
        by_sex / "run", config, sorted((by_sex / "run-data").glob("*.h5ad")),
        [by_sex / "held_out.h5ad"],
    ).held_out  # fmt: skip
    assert [found["classes"][c] for c in held_out.classes] == wanted.tolist()


def test_of_real_sites_the_columns_are_named(by_sex, tmp_path):
    """Their covariate-keys are in their own node configs, and in no run.json."""
    run = tmp_path / "run"
    shutil.copytree(by_sex / "run", run)
    about = json.loads((run / "run.json").read_text())
    about["config"]["covariate-keys"] = ""
    (run / "run.json").write_text(json.dumps(about))
    own = ["--real", by_sex / "held_out.h5ad"]
    said = refused("evaluate", run, *own)
    assert "the run's are A|f, A|m, B|f, B|m: a label and covariates" in said
    assert "--covariate-keys" in said
    assert call("evaluate", run, *own, "--covariate-keys", "sex").exit_code == 0
    found = json.loads((run / "evaluation.json").read_text())
    assert found["n_records"]["real"] == 80
    said = refused("evaluate", run, *own, "--covariate-keys", "donor")
    assert "with covariate-keys = 'donor'" in said
    assert "the file's A|site9-d0" in said


def test_a_file_without_the_covariates_is_refused_by_name(by_sex):
    said = refused("evaluate", by_sex / "run", "--real", by_sex / "without.h5ad")
    assert "without.h5ad: obs has no column 'sex'" in said
    assert "set covariate-keys" in said
