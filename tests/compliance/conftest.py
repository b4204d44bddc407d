"""The shipped pipeline, built once for all compliance tests."""

import warnings

import pytest

from compliance.build import build_pipeline, shipped_settings
from compliance.matches import Scanner
from compliance.pipeline import Pipeline


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
