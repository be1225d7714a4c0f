"""`syncytium evaluate` and the page of a synthetic cohort, from a run folder and real files."""

import json
import stat

import anndata
import numpy as np
import pytest

from bench.epsilon_curves import curve
from cli.evaluate import show_synthesis
from common.errors import InputError
from common.synthesis.audit.kept_sums import keep_sum
from common.synthesis.audit.watched import Watched
from common.synthesis.pooled import fit_pooled
from common.synthesis.published import publish
from common.synthesis.records import Records
from common.synthesis.registry import GENERATORS
from common.synthesis.schema import Schema
from common.synthesis.scores.figures import FIGURES
from common.synthesis.scores.prediction import prediction
from report import synthesis_evaluation, synthesis_pictures
from report.epsilon_curve import epsilon_curve, epsilon_curve_file
from report.privacy_words import guess, statement
from report.run_page import write_run_page
from report.synthesis_evaluation import evaluate_synthesis, is_synthesis
from report.synthesis_page import _level
from report.synthetic_cohort import as_logs, read_cohorts
from tests.browser import browser, chromium
from tests.report_runs import BITING
from tests.small_generators import memorised
from tests.synthesis_runs import CLASSES, KEY, STATEMENT, cells, h5ad, made_cohort
from tests.test_cli import call


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthesis")
    run = made_cohort(folder)
    evaluate_synthesis(run, held_out=[folder / "held_out.h5ad"])
    return run


@pytest.fixture(scope="module")
def result(finished):
    return json.loads((finished / "evaluation.json").read_text())


def test_a_simulations_files_are_the_real_records(finished, result):
    data = finished.parent / "data"
    assert is_synthesis(finished)
    assert result["files"]["real"] == [str(data / "a.h5ad"), str(data / "b.h5ad")]
    assert result["n_records"] == {"synthetic": 150, "real": 160, "held out": 120}
    # By hand, from the records themselves.
    made, test = cells(150, 4), cells(120, 3)
    order = np.argsort(np.array(CLASSES))
    code = np.argsort(order)
    pair = (
        (made.values.astype(np.float32).astype(float), code[made.classes]),
        (test.values.astype(np.float32).astype(float), code[test.classes]),
    )
    assert result["scores"]["synthetic"]["logistic_accuracy"] == prediction(*pair)["accuracy"]
    assert set(result["audit"]["attacks"]) == {"distance", "density", "class_means"}
    assert result["privacy"] == STATEMENT


def test_what_is_written_is_for_its_owner_alone(finished):
    assert stat.S_IMODE((finished / "evaluation.json").stat().st_mode) == 0o600
    assert not list(finished.glob(".*part*"))


def test_a_memorised_cohort_is_told(tmp_path):
    real = Records(
        *(np.concatenate(x) for x in zip(
            *((r.values, r.classes, r.units) for r in (cells(90, 1), cells(70, 2))), strict=True
        ))
    )  # fmt: skip
    run = made_cohort(tmp_path, memorised(real, 150, 0.0))
    found = evaluate_synthesis(run, held_out=[tmp_path / "held_out.h5ad"])
    assert found["audit"]["closest"]["copies"] == 150
    assert found["audit"]["attacks"]["distance"]["auc"]["low"] > 0.7
    page = write_run_page(run, pictures=False).read_text()
    assert "150 records are copies of real ones" in page


@pytest.mark.parametrize("epsilon", [np.inf, 1.0])
def test_the_releases_of_a_run_are_attacked_by_its_own_generator(tmp_path, epsilon):
    run = made_cohort(tmp_path)
    parts = [cells(90, 1), cells(70, 2)]
    genes = tuple(f"G{i}" for i in range(30))
    about = Schema(genes, CLASSES, -10.0, 10.0)
    generator = Watched(GENERATORS.get("gaussian")(about, epsilon, 1e-5, {}))
    state = fit_pooled(generator, parts)
    inner = GENERATORS.get("gaussian")(about, epsilon, 1e-5, {})
    publish(run / "bundle", inner, state, run="7", label=KEY, privacy=STATEMENT, versions={})
    found = {}
    for number, one in enumerate(generator.releases, start=1):
        found[number] = evaluate_synthesis_audit(run, tmp_path)
        keep_sum(run, number, one.total, one.noise_sd)
    assert all("tracing" not in audit["attacks"] for audit in found.values())
    assert found[1]["not_traced"] == "the run's noisy sums are not in its folder"
    audit = evaluate_synthesis_audit(run, tmp_path)
    assert audit["not_traced"] == ""
    reached = audit["attacks"]["tracing"]["auc"]
    if epsilon == np.inf:
        assert reached["low"] > 0.55
    else:
        assert reached["low"] < 0.55


def evaluate_synthesis_audit(run, folder):
    """The audit alone."""
    config = json.loads((run / "run.json").read_text())["config"]
    real = sorted((folder / "data").glob("*.h5ad"))
    cohorts = read_cohorts(run, config, real, [folder / "held_out.h5ad"])
    kinds = (cohorts.real, cohorts.held_out, cohorts.synthetic)
    return synthesis_evaluation.audited(run, cohorts, kinds, whole=True, seed=0)


def test_given_files_replace_the_simulations(finished, tmp_path, result):
    own = h5ad(tmp_path / "own.h5ad", cells(60, 9), key="subtype")
    found = evaluate_synthesis(finished, [own])
    (finished / "evaluation.json").write_text(json.dumps(result))
    assert found["n_records"]["real"] == 60
    assert found["audit"] == {
        "audited": False,
        "reason": "no held-out records were given (--held-out)",
    }
    assert set(found["scores"]["real"].values()) == {None}


def test_records_of_other_classes_are_left_out_and_counted(finished, tmp_path):
    path = h5ad(tmp_path / "own.h5ad", cells(60, 9), key="subtype")
    own = anndata.read_h5ad(path)
    own.obs["subtype"] = own.obs["subtype"].astype(object)
    own.obs.iloc[:7, 0] = "another"
    own.obs.iloc[7:9, 0] = None
    own[:, ::-1].copy().write_h5ad(path)
    config = json.loads((finished / "run.json").read_text())["config"]
    found = read_cohorts(finished, config, [path], [])
    assert found.left_out == 9
    # Genes are put in the cohort's order.
    np.testing.assert_allclose(found.real.values, cells(60, 9).values[9:], atol=1e-5)


def test_counts_are_compared_as_logarithms(tmp_path):
    rng = np.random.default_rng(1)
    counts = Records(rng.poisson(3.0, (80, 30)).astype(float), cells(80, 1).classes, np.arange(80))
    donors = [f"d{i % 20}" for i in range(80)]
    run = made_cohort(
        tmp_path, counts, **{"expression": "counts", "privacy-unit": "donor", "donor-key": "who"}
    )
    real = h5ad(tmp_path / "real.h5ad", counts, key="subtype", who=donors)
    config = json.loads((run / "run.json").read_text())["config"]
    found = read_cohorts(run, config, [real], [])
    size = counts.values.sum(axis=1, keepdims=True)
    of_real, of_made = (as_logs(found, r, 1000, 0) for r in (found.real, found.synthetic))
    np.testing.assert_allclose(of_real.values, np.log1p(1e4 * counts.values / size))
    np.testing.assert_allclose(of_made.values, of_real.values)
    assert found.real.n_units == 20
    assert found.unit == "donor"
    with pytest.raises(InputError, match=r"20 donor\(s\) are in the real and in the held-out"):
        read_cohorts(run, config, [real], [real])


def test_a_sample_is_taken_of_many(finished):
    config = json.loads((finished / "run.json").read_text())["config"]
    paths = sorted((finished.parent / "data").glob("*.h5ad"))
    cohorts = read_cohorts(finished, config, paths, [])
    assert cohorts.n_records == {"synthetic": 150, "real": 160}
    sample = as_logs(cohorts, cohorts.real, 50, 0)
    assert sorted(sample.units) == list(range(50))
    known = dict(zip(map(bytes, cohorts.real.values), cohorts.real.classes, strict=True))
    assert [known[bytes(row)] for row in sample.values] == sample.classes.tolist()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: (run / "synthetic.h5ad").unlink(), "there is no synthetic.h5ad"),
        (lambda run: [p.unlink() for p in (run.parent / "data").iterdir()], "--real FILE.h5ad"),
        (
            lambda run: h5ad(run.parent / "data" / "a.h5ad", cells(20, 1, 29), key="subtype"),
            r"lacks 1 of the run's 30 genes \(the first is 'G29'\)",
        ),
        (lambda run: h5ad(run.parent / "data" / "a.h5ad", cells(20, 1)), "set cell-type-key"),
        (
            lambda run: h5ad(run.parent / "held_out.h5ad", cells(90, 1), key="subtype"),
            "90 of 90 held-out records are among the real ones",
        ),
    ],
)
def test_what_cannot_be_scored_is_said(tmp_path, spoil, message):
    run = made_cohort(tmp_path)
    spoil(run)
    with pytest.raises(InputError, match=message):
        evaluate_synthesis(run, held_out=[tmp_path / "held_out.h5ad"])


def test_the_table_has_every_figure_in_80_columns(finished, result, capsys):
    from rich.console import Console

    screen = Console(width=80, record=True)
    show_synthesis(finished, screen, [], [finished.parent / "held_out.h5ad"])
    text = screen.export_text()
    assert max(map(len, text.splitlines())) <= 80
    joined = " ".join(text.split())
    for name in ("Accuracy, logistic regression", "Slope of log fold changes", "Exact copies"):
        assert name in joined
    value = result["scores"]["synthetic"]["wasserstein"]
    assert f"{value:.3f} {result['scores']['real']['wasserstein']:.3f}" in joined
    assert "epsilon 1, delta 1e-05" in joined
    # At even odds, e / (1 + e).
    assert "at most 73.1%" in joined


def test_other_runs_refuse_its_options(tmp_path):
    done = call("evaluate", str(tmp_path), "--held-out", "x.h5ad")
    assert done.exit_code == 1
    assert "are for runs of synthesize" in " ".join(done.output.split())


def test_the_command_prints_and_writes(tmp_path):
    run = made_cohort(tmp_path)
    done = call("evaluate", str(run), "--held-out", str(tmp_path / "nowhere.h5ad"))
    assert done.exit_code == 1
    assert "nowhere.h5ad: no such file" in "".join(done.output.split("\n"))
    done = call("evaluate", str(run), "--held-out", str(tmp_path / "held_out.h5ad"))
    assert done.exit_code == 0, done.output
    assert "scores:" in done.output
    assert "syncytium report" in done.output
    assert json.loads((run / "evaluation.json").read_text())["audit"]["audited"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, "treat the cohort as the real records"),
        ({"private": False, "epsilon": None}, "no privacy"),
        ({**STATEMENT, "unit": "donor"}, "each donor, with all their records, added"),
        ({**STATEMENT, "epsilon": 12.0}, "above 10 promises little"),
        (STATEMENT, "Against 1 site of the run, which knows its part of the noise: epsilon 1.37"),
        (
            {**STATEMENT, "epsilon_colluding": {"2": None}},
            "2 sites that pool what they know: no",
        ),
    ],
)
def test_privacy_in_plain_words(said, expected):
    assert expected in " ".join(statement(said))


def test_no_attack_on_neighbours_beats_the_stated_guess():
    """By the Gaussian mechanism of that epsilon, at the attacker's best threshold."""
    from scipy.stats import norm

    from common.privacy.analytic_gaussian import mu_for

    for epsilon in (0.1, 1, 5):
        reached = norm.cdf(mu_for(epsilon, 1e-5) / 2)
        assert 0.5 < reached < guess(epsilon, 1e-5)
    assert guess(np.log(3), 0) == pytest.approx(0.75)


ROWS = [
    {"epsilon": e, "score": s, "sd": 0.01, "name": n}
    for n, shift in (("gaussian", 0), ("star", -0.04))
    for e, s in ((0.5, 0.7 + shift), (1, 0.79 + shift), (10, 0.84 + shift), ("inf", 0.855 + shift))
]


def test_the_epsilon_curve_says_what_it_shows():
    shown = epsilon_curve(ROWS, score="TSTR accuracy", real=0.885)
    assert "gaussian: 0.700 at 0.5, 0.790 at 1, 0.840 at 10, 0.855 at inf" in shown.alt
    assert shown.light != shown.dark
    assert epsilon_curve_file(ROWS, score="x", kind="png").startswith(b"\x89PNG")
    again = epsilon_curve(ROWS, score="TSTR accuracy", real=0.885)
    assert again == shown


def test_the_bench_feeds_the_curve():
    def figure(mean, sd):
        return {"accuracy": {"mean": mean, "sd": sd}}

    table = {"real": figure(0.9, 0), "rule 0.5": figure(0.7, 0.02), "rule inf": figure(0.86, 0.01)}
    found = curve(table)
    assert found["rows"] == [
        {"epsilon": "0.5", "name": "rule", "score": 0.7, "sd": 0.02},
        {"epsilon": "inf", "name": "rule", "score": 0.86, "sd": 0.01},
    ]
    assert "rule: 0.700 at 0.5, 0.860 at inf" in epsilon_curve(**found).alt


@pytest.fixture(scope="module")
def pages(finished, tmp_path_factory):
    plain = made_cohort(
        tmp_path_factory.mktemp("plain"), statement={"private": False, "epsilon": np.inf}
    )
    curve = {"rows": ROWS, "score": "TSTR accuracy", "real": 0.885, "majority": 0.51}
    (finished / "epsilon_curve.json").write_text(json.dumps(curve))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthesis_pictures, "umap_layout", lambda c, seed: c[:, :2])
        return {
            "scored": write_run_page(finished, pictures=True),
            "not scored": write_run_page(plain, pictures=True),
        }


def test_the_page_tells_everything_and_escapes_it(pages, result):
    text = pages["scored"].read_text()
    assert BITING not in text
    for said in (
        "Differentially private: epsilon 1",
        "Does a classifier learn from it?",
        "What privacy costs",
        "Membership inference",
        "Not to be published as it is",
        *(figure.title for figure in FIGURES.values()),
    ):
        assert said in text, said
    assert f"{result['scores']['synthetic']['correlation_mae']:.3f}" in text
    assert "Are the batches mixed?" not in text
    assert "No round was finished" not in text
    assert stat.S_IMODE(pages["scored"].stat().st_mode) == 0o600


def test_the_page_has_the_classes_and_what_to_expect_of_them(tmp_path):
    folder = made_cohort(tmp_path)
    about = json.loads((folder / "run.json").read_text())
    about |= {"synthetic": {"Basal": 1201, BITING: 7}, "usefulness": {"grade": "weak", "why": "w"}}
    (folder / "run.json").write_text(json.dumps(about))
    text = write_run_page(folder, pictures=False).read_text()
    assert BITING not in text
    for said in (
        "1,201",
        "by the noisy counts",
        "by rule of thumb:\nw.",
        "How many records a site",
    ):
        assert said in text, said
    assert "Network and training" not in text


@pytest.mark.parametrize(("made", "level"), [([1.0, 1.01, 1.0], True), ([0.2, 1.0, 3.1], False)])
def test_genes_of_one_variance_are_explained(made, level):
    genes = {"real_variance": [0.1, 1.0, 3.0], "synthetic_variance": made}
    assert _level({"scores": {"per_gene": genes}}) is level


def test_a_page_without_scores_claims_none(pages):
    text = pages["not scored"].read_text()
    assert "there is no privacy" in text
    assert "It was not scored" in text
    assert "Membership inference" not in text


def test_pictures_that_cannot_be_drawn_are_explained(tmp_path, result):
    run = made_cohort(tmp_path)
    moved = result | {"files": {"real": ["/nowhere/a.h5ad"], "held_out": []}}
    (run / "evaluation.json").write_text(json.dumps(moved))
    assert "/nowhere/a.h5ad does not exist" in write_run_page(run, pictures=True).read_text()


@pytest.mark.skipif(chromium() is None, reason="no chromium on this machine")
def test_the_page_in_a_browser(pages, tmp_path_factory):
    with browser(tmp_path_factory.mktemp("chromium")) as tab:
        for width in (360, 1280):
            for scheme in ("light", "dark"):
                tab.open(pages["scored"], width=width, prefers_color_scheme=scheme)
                assert tab.errors() == []
                assert tab.value("document.documentElement.scrollWidth") == width
                assert {url.split(":")[0] for url in tab.requests()} <= {"file", "data"}
        images = tab.value("[...document.images].map(i => [i.naturalWidth, i.alt.length])")
        assert len(images) == 7
        assert all(w > 0 and n > 40 for w, n in images)
        links = tab.value(
            "[...document.querySelectorAll('nav a')].map(a => !!document.querySelector("
            "a.getAttribute('href')))"
        )
        assert links
        assert all(links)
