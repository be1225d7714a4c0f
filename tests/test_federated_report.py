"""What a federated evaluation says at a run's end and on its page."""

import json
import re

import pytest

from common.federated_evaluation.scores import FIGURES
from report.federated_evaluation import FILE, rows, summary
from report.page import NAME
from report.run_page import write_run_page
from tests.report_runs import BITING, federated, made_up_run

TYPES = [f"T {i}" for i in range(5)]


def section(folder):
    text = " ".join((folder / NAME).read_text().split())
    found = re.search(r'<section aria-labelledby="federated">.*?</section>', text)
    return found.group() if found else ""


def test_a_sentence_for_each_output_and_the_model():
    decoded, residual, model = summary(federated(TYPES))
    assert "variance between batches of a type 0.400 → 0.200" in decoded
    assert "types apart within a batch 0.400 → 0.200" in decoded
    assert residual == f"residual: they were mixed {BITING}"
    assert model == (
        "the model reconstructs 0.310 of the variance of expression, means of batch and type 0.240"
    )
    reason = {"evaluated": False, "reason": "site-2 was lost"}
    assert summary(reason) == ["not evaluated: site-2 was lost"]


def test_the_table_has_both_spaces():
    table = rows(federated(TYPES))
    assert [len(found) for found in table.values()] == [len(FIGURES)] * 2
    first = next(iter(table.values()))[0]
    assert first.values == {"uncorrected": 0.4, "decoded": 0.2, "residual": pytest.approx(0.4 / 3)}


def test_the_page_shows_figures_and_what_each_means(tmp_path):
    folder = made_up_run(tmp_path / "run")
    write_run_page(folder, pictures=False)
    text = section(folder)
    for figure in FIGURES.values():
        assert f"{figure.meaning}." in text.replace("&#39;", "'")
        assert f"({figure.better} is better)" in text
    assert "<strong>Residual is no correction:</strong> they were mixed &lt;script&gt;" in text
    assert "Decoded is no correction" not in text
    assert "<script>" not in text
    assert text.count("fewer than 3 sites hold it") == 3
    # A lower share is the better one.
    assert '<span class="good">-0.200</span>' in text
    assert '<span class="bad">-0.200</span>' in text
    assert 'href="#federated"' in (folder / NAME).read_text()


def test_a_run_that_was_not_evaluated_says_why(tmp_path):
    folder = made_up_run(tmp_path / "run")
    reason = {"evaluated": False, "reason": f"lost {BITING}", "seconds": 1.0}
    (folder / FILE).write_text(json.dumps(reason))
    (folder / "evaluation.json").unlink()
    (folder / "sites").rmdir()
    write_run_page(folder, pictures=False)
    assert "<strong>Not evaluated.</strong> lost &lt;script&gt;" in section(folder)
    assert "there are no scores by sums over sites" in (folder / NAME).read_text()


@pytest.mark.parametrize("text", [None, "{ half"])
def test_a_run_without_one_has_no_such_section(tmp_path, text):
    folder = made_up_run(tmp_path / "run")
    (folder / FILE).unlink() if text is None else (folder / FILE).write_text(text)
    write_run_page(folder, pictures=False)
    assert section(folder) == ""
    assert 'href="#federated"' not in (folder / NAME).read_text()


def test_of_real_sites_it_is_the_verdict(tmp_path):
    folder = made_up_run(tmp_path / "run")
    (folder / "evaluation.json").unlink()
    (folder / "sites").rmdir()
    write_run_page(folder, pictures=False)
    text = " ".join((folder / NAME).read_text().split())
    verdict = text[text.index('id="verdict"') : text.index('id="pictures"')]
    assert "variance between batches of a type 0.400 → 0.200" in verdict
