"""The shipped pipeline, built once for all compliance tests."""

import warnings

import pytest

from compliance.build import build_pipeline, shipped_settings
from compliance.labels.labels import Labels, build_labels
from compliance.matches import Scanner
from compliance.pipeline import Pipeline
from configs.schema import LabelSettings


@pytest.fixture(scope="session")
def pipeline() -> Pipeline:
    """The shipped rules, with Presidio loaded; what its own imports warn about is not ours."""
    built = build_pipeline(shipped_settings())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        built.warm_up()
    return built


@pytest.fixture(scope="session")
def personal_info(pipeline: Pipeline) -> Scanner:
    """The shipped scanner of personal information, for outputs."""
    return pipeline.scanners("output")[1]


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Labels:
    """Labels as a fresh deployment makes them, with a key of their own."""
    return build_labels(LabelSettings(key_file=tmp_path_factory.mktemp("key") / "label-key.pem"))
