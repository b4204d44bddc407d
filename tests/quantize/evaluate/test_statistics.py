"""Statistics against values worked out by hand."""

import math

import pytest

from quantize.evaluate.statistics import Paired, Share, mcnemar, mean_interval, percentile, perplexity, wilson


def test_wilson_against_worked_examples() -> None:
    # 8 of 10: centre (0.8 + 3.8415/20) / (1 + 3.8415/10) = 0.71674, half-width 0.22658.
    assert wilson(8, 10) == pytest.approx((0.49016, 0.94332), abs=1e-5)
    # 0 of 10: high = z^2 / (n + z^2) = 3.84146 / 13.84146.
    assert wilson(0, 10) == pytest.approx((0.0, 0.27753), abs=1e-5)
    assert wilson(10, 10) == pytest.approx((0.72247, 1.0), abs=1e-5)
    assert wilson(0, 0) == (0.0, 1.0)


def test_mcnemar_counts_only_rows_that_differ() -> None:
    # 1 against 5: 2 * (C(6,0) + C(6,1)) / 2^6 = 14/64.
    assert mcnemar(1, 5) == pytest.approx(14 / 64)
    assert mcnemar(5, 1) == mcnemar(1, 5)
    # 0 against 6: 2 / 64.
    assert mcnemar(0, 6) == pytest.approx(2 / 64)
    assert mcnemar(3, 3) == 1.0
    assert mcnemar(0, 0) == 1.0


def test_pairs_are_compared_row_by_row() -> None:
    paired = Paired.of([True, True, False, False], [True, False, False, False])
    assert (paired.base.count, paired.variant.count, paired.only_base, paired.only_variant) == (2, 1, 1, 0)
    assert paired.rise == -0.25
    assert paired.p_value == 1.0


def test_perplexity_of_a_fair_die_is_six() -> None:
    assert perplexity([math.log(6)] * 5) == pytest.approx(6.0)
    # Two tokens of probability 1/2 and 1/8: the geometric mean is 1/4.
    assert perplexity([math.log(2), math.log(8)]) == pytest.approx(4.0)


def test_nearest_rank_percentiles() -> None:
    assert percentile([5.0, 1.0, 3.0, 2.0, 4.0], 0.5) == 3.0
    assert percentile(list(map(float, range(1, 101))), 0.99) == 99.0
    assert percentile([7.0], 0.99) == 7.0


def test_the_interval_of_a_mean() -> None:
    # Values 0 and 2: mean 1, standard deviation sqrt(2), standard error 1.
    assert mean_interval([0.0, 2.0]) == pytest.approx((1 - 1.95996, 1 + 1.95996), abs=1e-5)
    assert mean_interval([3.0]) == (3.0, 3.0)


def test_a_share_of_nothing_says_nothing() -> None:
    assert Share.counted([]).model_dump() == {"count": 0, "of": 0, "value": 0.0, "low": 0.0, "high": 1.0}
