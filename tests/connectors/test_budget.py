"""One budget for all workers: never more calls than the service allows, none lost, nobody asleep."""

import time
from datetime import timedelta
from unittest import mock

import pytest
from django.utils import timezone

from connectors.budget import Purse
from connectors.contract import Account, Rate, Role, Service
from connectors.failures import Category, Failure
from connectors.models import Budget

pytestmark = pytest.mark.django_db


def purse(*rates: Rate, account: int = 1, client: str = "app", **settings: object) -> Purse:
    service = Service("shop", Role.CHANNEL, "Shop", "", "", rates=rates)
    return Purse(Account(account, "shop", "", settings, {}, {"client_id": client}), service)


def taken(one: Purse, operation: str = "list", most: int = 1000) -> int:
    for count in range(most):
        one.begun = False
        try:
            one.admit(operation)
        except Failure:
            return count
    return most


def test_two_workers_share_one_burst() -> None:
    slow = Rate(0.01, 20)
    assert taken(purse(slow)) + taken(purse(slow)) == 20


def test_the_answer_is_a_time_not_a_wait() -> None:
    one = purse(Rate(1 / 179, 1))
    one.admit("list")
    one.begun = False
    with mock.patch("time.sleep") as slept, pytest.raises(Failure) as caught:
        one.admit("list")
    assert not slept.called
    assert caught.value.category is Category.RATE_LIMITED and caught.value.retry_at is not None
    assert 170 < (caught.value.retry_at - timezone.now()).total_seconds() < 180


def test_operations_have_budgets_of_their_own() -> None:
    rates = (Rate(0.01, 2, ("list",)), Rate(0.01, 5, ("get",)))
    one = purse(*rates)
    assert (taken(one, "list"), taken(one, "get"), taken(one, "other", 9)) == (2, 5, 9)


def test_an_application_s_budget_is_shared_by_its_sellers() -> None:
    rate = Rate(0.01, 6, scope="application")
    assert taken(purse(rate, account=1)) + taken(purse(rate, account=2)) == 6
    assert taken(purse(rate, account=3, client="another")) == 6


def test_what_the_service_says_counts_for_all() -> None:
    rate = Rate(100, 100)
    one = purse(rate)
    one.admit("list")
    one.pause("list", timezone.now() + timedelta(minutes=5))
    assert taken(one) == 0 and taken(purse(rate)) == 0


def test_a_lot_that_was_not_used_is_given_back() -> None:
    rate = Rate(1000, 1000)
    one = purse(rate)
    one.admit("list")
    before = Budget.objects.get().taken_until
    one.close()
    assert Budget.objects.get().taken_until == pytest.approx(before - 0.249, abs=0.01)


def test_a_job_that_has_begun_is_paced_not_sent_back() -> None:
    one = purse(Rate(10, 1))
    one.admit("list")
    with mock.patch("time.sleep", side_effect=time.sleep) as slept:
        one.admit("list")
    assert 0.02 < sum(call.args[0] for call in slept.call_args_list) < 0.5


def test_a_connection_may_choose_its_own_rate_or_none() -> None:
    assert taken(purse(Rate(0.01, 1), calls_per_second=0), most=50) == 50
    assert taken(purse(Rate(0.01, 1), calls_per_second=0.5)) == 1
