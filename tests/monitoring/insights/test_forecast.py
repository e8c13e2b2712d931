"""Arithmetic: percentiles from buckets, forecasts and their errors, sudden drops."""

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.insights import forecast
from monitoring.insights.charts import level
from monitoring.insights.reading import change, share
from monitoring.insights.spread import Spread, begins, bucket_of


def spread(seconds: list[int]) -> Spread:
    found = Spread()
    for one in seconds:
        found.add(bucket_of(one), 1, one)
    return found


@given(st.lists(st.integers(60, 10_000_000), min_size=1, max_size=200), st.sampled_from([0.5, 0.9]))
def test_a_percentile_misses_the_true_one_by_its_bucket_at_most(seconds: list[int], wanted: float) -> None:
    ordered = sorted(seconds)
    true = ordered[max(0, -(-round(wanted * 100) * len(ordered) // 100) - 1)]
    found = spread(seconds).percentile(wanted)
    assert found is not None
    assert true / 1.101 <= found <= true * 1.101


@given(st.lists(st.lists(st.integers(0, 10_000_000), max_size=30), max_size=5))
def test_spreads_add_up(parts: list[list[int]]) -> None:
    whole = Spread()
    for part in parts:
        whole.merge(spread(part).as_json())
    assert whole.as_json() == spread([one for part in parts for one in part]).as_json()


def test_nothing_has_no_percentile_and_no_mean() -> None:
    assert (Spread().percentile(0.5), Spread().mean) == (None, None)


def test_a_bucket_begins_where_the_one_before_ends() -> None:
    for bucket in range(120):
        assert bucket_of(int(begins(bucket)) + 1) == bucket
    assert bucket_of(0) == bucket_of(60) == 0


# --- Forecast


WEEK = [10.0, 12, 9, 11, 13, 5, 3]


def test_an_even_week_goes_on_as_it_is() -> None:
    ahead = forecast.forecast(WEEK * 8, 10)
    assert ahead is not None
    assert ahead.days == pytest.approx([*WEEK, *WEEK[:3]])
    assert ahead.error == pytest.approx(0)


def test_weekdays_keep_their_places_when_the_past_is_no_whole_number_of_weeks() -> None:
    past = (WEEK * 8)[:-3]
    for method in forecast.METHODS.values():
        assert method(past, 3) == pytest.approx(WEEK[-3:], rel=1e-4)


def test_noise_is_smoothed_and_its_error_is_told() -> None:
    chance = random.Random(1)
    past = [max(1.0, chance.gauss(amount * 10, amount)) for amount in WEEK * 12]
    ahead = forecast.forecast(past, 7)
    assert ahead is not None
    assert ahead.method == "smoothed"
    assert ahead.error is not None
    assert 0.02 < ahead.error < 0.2
    naive = forecast.error(forecast.same_day_last_week, past)
    assert naive is not None
    assert ahead.error < naive


def test_the_error_is_that_of_the_weeks_forecast_from_before_them() -> None:
    past = [*WEEK * 6, *(amount * 2 for amount in WEEK)]
    # Three weeks hit, the last one missed by half.
    assert forecast.error(forecast.same_day_last_week, past) == pytest.approx(statistics.fmean([0, 0, 0, 0.5]))


@pytest.mark.parametrize("past", [[], [1.0] * 27, [0.0] * 60])
def test_too_little_past_has_no_forecast(past: list[float]) -> None:
    assert forecast.forecast(past, 7) is None


def test_days_without_sales_divide_nothing() -> None:
    ahead = forecast.forecast([5.0, *[0.0] * 34], 7)
    assert ahead is not None
    assert ahead.error is None
    assert forecast.forecast([5.0, 0, 0, 0, 0, 0, 0] * 5, 7) is not None


# --- Drop


@pytest.mark.parametrize(
    ("yesterday", "usual"),
    [(3, 20), (6, 20), (7, None), (20, None), (40, None)],
)
def test_a_sudden_drop(yesterday: float, usual: float | None) -> None:
    # The same weekday of the weeks before had 20.
    past = [*([20.0, 5, 5, 5, 5, 5, 5] * 8), yesterday]
    assert forecast.dropped(past) == usual


def test_few_orders_drop_by_chance() -> None:
    assert forecast.dropped([*([4.0] * 56), 0.0]) is None
    assert forecast.dropped([20.0] * 14 + [0.0]) is None
    assert forecast.dropped([]) is None


def test_division_by_nothing() -> None:
    assert (share(1, 0), change(1, 0), change(None, 2), change(3, 2)) == (None, None, None, 0.5)


def test_levels() -> None:
    assert [level(amount, 10) for amount in (0, 0.3, 0.4, 0.5, 3.6, 3.7, 10)] == [0, 1, 1, 2, 3, 4, 5]
    assert level(0, 0) == 0
