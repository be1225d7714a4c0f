"""Whose a record is, and of which class, as a site's obs has it; values that are taken as is."""

import numpy as np
import pandas as pd
import pytest

from common.data.reader import SiteFile
from common.errors import CountsError, InputError
from tests.h5ad_files import write
from tests.small_cohorts import cohort


def opened(folder, data, **settings):
    path = write(folder, data)
    return SiteFile.open(path, batch_key="", counted=False, **settings)


def test_log_values_are_taken_as_they_are(tmp_path):
    data = cohort({"A": 6, "B": 5})
    data.X[0, 0] = -3.5
    file = opened(tmp_path, data)
    values = np.concatenate([block.toarray() for _, block in file.iter_counts()])
    np.testing.assert_array_equal(values, data.X)
    with pytest.raises(CountsError, match=r"log2-transformed|negative"):
        SiteFile.open(tmp_path / "site.h5ad", batch_key="")


def test_the_matrix_may_be_named(tmp_path):
    data = cohort({"A": 6, "B": 5})
    data.layers["vst"] = data.X + 1
    file = opened(tmp_path, data, layer="vst")
    values = np.concatenate([block.toarray() for _, block in file.iter_counts()])
    np.testing.assert_array_equal(values, data.layers["vst"])
    with pytest.raises(CountsError, match="has no matrix 'vts'"):
        opened(tmp_path, data, layer="vts")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_named(tmp_path, value):
    data = cohort({"A": 6, "B": 5})
    data.X[2, 3] = value
    with pytest.raises(CountsError, match=r"1 NaN or infinite value.*'G3'.*leave these cells out"):
        list(opened(tmp_path, data).iter_counts())


def test_donors(tmp_path):
    data = cohort({"A": 6, "B": 5})
    file = opened(tmp_path, data, donor_key="donor")
    assert file.donors.tolist() == data.obs["donor"].tolist()
    assert opened(tmp_path, data).donors is None


@pytest.mark.parametrize("value", [None, "", " ", "nan", "NA"])
def test_a_record_without_a_donor_is_refused(tmp_path, value):
    """Whatever CSV or R has made of a missing value: many donors would be one."""
    data = cohort({"A": 6, "B": 5})
    data.obs["donor"] = data.obs["donor"].astype(object)
    data.obs.iloc[4, data.obs.columns.get_loc("donor")] = value
    with pytest.raises(InputError, match=rf"1 record.*first: '{data.obs_names[4]}'"):
        opened(tmp_path, data, donor_key="donor")


def test_covariates_make_classes(tmp_path):
    data = cohort({"A": 6, "B": 5})
    data.obs["stage"] = ["I", None, "NaN"] + ["II"] * 8
    file = opened(tmp_path, data, covariate_keys="sex, stage")
    expected = [
        None if pd.isna(stage) or stage == "NaN" else f"{label}|{sex}|{stage}"
        for label, sex, stage in data.obs[["cell_type", "sex", "stage"]].itertuples(index=False)
    ]
    assert file.classes.tolist() == expected
    assert file.cell_types.tolist() == data.obs["cell_type"].tolist()
    with pytest.raises(InputError, match=r"obs has no column 'age'.*set covariate-keys"):
        opened(tmp_path, data, covariate_keys="age")


def test_a_donor_whose_name_has_blanks_is_not_two(tmp_path):
    data = cohort({"A": 6, "B": 5}, n_donors=2)
    first = data.obs_names[0]
    data.obs.loc[first, "donor"] = data.obs.loc[first, "donor"] + " "
    assert len(set(opened(tmp_path, data, donor_key="donor").donors)) == 2
