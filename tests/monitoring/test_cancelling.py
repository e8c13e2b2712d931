"""A person cancels a sale at its channel: asked once, sent by the ledger, believed when the channel shows it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.test import Client
from django.utils import timezone

from connectors import actions, cancelling, planning, registry
from connectors.channels.amazon import SERVICE
from connectors.failures import Category, Failure, LeaseLost, Refusal
from connectors.models import Job, Link
from hub.models import Membership
from monitoring import history, story
from orders.models import Order
from orders.vocabulary import Hold, OrderStatus
from tests.monitoring.reconciliation.market import Market, open_market
from tests.monitoring.world import World, browser_of, text_of

CHANNELS = ("mercado_livre", "amazon")
PLACED: dict[str, dict[str, Any]] = {"mercado_livre": {"logistic": "cross_docking"}, "amazon": {"program": "SELF_SHIP"}}
WORDS = "sem estoque: o último quebrou"


@pytest.fixture
def market(db: None) -> Iterator[Market]:
    with open_market(*CHANNELS, "bling") as opened:
        yield opened


def browser(market: Market, role: str = Membership.Role.OWNER) -> Client:
    from django.contrib.auth.models import User

    user = User.objects.create(username=f"ana-{role}", is_staff=True)
    Membership.objects.create(user=user, seller=market.seller, role=role)
    return browser_of(user)


def sold(market: Market, kind: str, *, exported: bool = True) -> Order:
    [number] = market.sim(kind).place(1, **PLACED[kind])
    with patch.object(planning, "may_export", (lambda order: exported)):
        market.poll(kind) if kind == "amazon" else market.push(kind, number)
    order = Order.objects.get(external_id=number)
    assert bool(order.exported_at) is exported
    return order


def ask(client: Client, order: Order, reason: str = WORDS) -> str:
    return text_of(client.post(f"/orders/{order.pk}/cancel/", {"reason": reason}, follow=True))


def told(order: Order) -> list[str]:
    return [line.text for line in history.history(order, (), ())]


def job_of(order: Order) -> Job:
    return Job.objects.get(order=order, operation="cancel_sale")


@pytest.mark.parametrize("kind", CHANNELS)
def test_from_the_page_to_the_channel_and_on_to_the_erp(market: Market, kind: str) -> None:
    order, client = sold(market, kind), browser(market)
    assert 'data-key="cancel"' in text_of(client.get(f"/orders/{order.pk}/"))
    page = ask(client, order)
    assert "The channel is asked to cancel this sale." in page and 'data-key="cancel"' not in page
    order.refresh_from_db()
    # Not before the channel says so.
    assert order.status == OrderStatus.APPROVED and not order.held
    market.work()
    market.work()
    assert market.sim(kind).snapshot()[order.external_id]["cancelled"]
    order.refresh_from_db()
    assert order.status == OrderStatus.CANCELLED
    assert Link.objects.get(order=order).cancelled
    assert [one["cancelled"] for one in market.sim("bling").snapshot().values()] == [True]
    assert job_of(order).state == Job.State.DONE
    said = told(order)
    assert any(WORDS in one for one in said) and any("has been told to cancel" in one for one in said)
    assert order.events.get(code="cancel_asked").actor.startswith("ana")


def test_mercado_livre_gets_the_person_s_words(market: Market) -> None:
    order = sold(market, "mercado_livre")
    ask(browser(market), order)
    market.work()
    [feedback] = market.sim("mercado_livre").feedbacks.values()
    assert (feedback["message"], feedback["fulfilled"]) == (WORDS, False)


@pytest.mark.parametrize("kind", CHANNELS)
def test_what_is_not_in_the_erp_is_held_and_never_gets_there(market: Market, kind: str) -> None:
    order = sold(market, kind, exported=False)
    ask(browser(market), order)
    order.refresh_from_db()
    assert order.active_holds == [Hold.PERSON]
    assert not planning.may_export(order)
    market.work()
    market.work()
    order.refresh_from_db()
    assert order.status == OrderStatus.CANCELLED and order.exported_at is None
    assert not market.sim("bling").orders


def test_nobody_lets_it_go_on_while_the_channel_decides(market: Market) -> None:
    market.sim("amazon").feed_after = 60.0
    order, client = sold(market, "amazon", exported=False), browser(market)
    Order.objects.filter(pk=order.pk).update(holds=["money"], held=True)
    ask(client, order)
    market.work()
    page = text_of(client.post(f"/orders/{order.pk}/release/", follow=True))
    assert "wait for its answer" in page
    client.post(f"/orders/{order.pk}/release/", {"hold": "money"})
    order.refresh_from_db()
    assert order.active_holds == [Hold.PERSON]
    market.work()
    assert not market.sim("bling").orders
    # Whoever closes the step by hand decides that it goes on.
    actions.close(job_of(order), "ana", "the buyer wants it after all")
    client.post(f"/orders/{order.pk}/release/")
    market.work()
    assert len(market.sim("bling").orders) == 1


def test_a_feed_is_waited_for_with_its_id_and_without_burning_tries(market: Market) -> None:
    amazon = market.sim("amazon")
    amazon.feed_after = 60.0
    order = sold(market, "amazon")
    ask(browser(market), order)
    market.work()
    [feed] = amazon.feeds
    job = job_of(order)
    assert job.input["under_way"] == feed and job.input["reason"] == WORDS
    assert (job.state, job.code, job.attempts) == (Job.State.READY, "not_yet", 0)
    assert job.due_at - timezone.now() > timedelta(seconds=20)
    move = story.next_move(story.Facts(order, [job], []))
    assert move is not None and move.party is story.Party.CHANNEL
    market.work()
    assert len(amazon.feeds) == 1
    amazon.feed_after = 0.0
    market.work()
    market.work()
    order.refresh_from_db()
    assert order.status == OrderStatus.CANCELLED and len(amazon.feeds) == 1


def test_a_channel_that_never_decides_is_looked_at_by_a_person(market: Market) -> None:
    market.sim("amazon").feed_after = 60.0
    order = sold(market, "amazon")
    ask(browser(market), order)
    market.work()
    job = job_of(order)
    since = timezone.now() - cancelling.LONGEST - timedelta(minutes=1)
    Job.objects.filter(pk=job.pk).update(input={**job.input, "since": since.isoformat()})
    market.work()
    job.refresh_from_db()
    assert (job.state, job.code) == (Job.State.REFUSED, "undecided") and "under_way" not in job.input


def test_a_refusal_stands_on_the_order_and_can_be_asked_again(market: Market) -> None:
    amazon = market.connections["amazon"]
    amazon.settings |= {"cancel_reason": "Whim"}
    amazon.save(update_fields=["settings"])
    order, client = sold(market, "amazon", exported=False), browser(market)
    ask(client, order)
    market.work()
    job = job_of(order)
    assert (job.state, job.code) == (Job.State.REFUSED, "not_cancelled")
    # Another try sends a feed of its own; it does not ask for the refused one again.
    assert job.input == {"reason": WORDS}
    page = text_of(client.get(f"/orders/{order.pk}/"))
    assert "Amazon has not cancelled the whole order. It said: 90220" in page and 'data-key="cancel"' in page
    assert any("The order, its item or the reason is not known" in one for one in told(order))
    order.refresh_from_db()
    # The person decides: the order does not go on by itself.
    assert order.active_holds == [Hold.PERSON]
    amazon.settings |= {"cancel_reason": "PricingError"}
    amazon.save(update_fields=["settings"])
    ask(client, order, "preço errado")
    market.work()
    market.work()
    order.refresh_from_db()
    assert order.status == OrderStatus.CANCELLED and job_of(order).input["reason"] == "preço errado"
    assert len(market.sim("amazon").feeds) == 2


def test_a_refused_one_is_settled_when_the_buyer_cancels(market: Market) -> None:
    order = sold(market, "amazon")
    ask(browser(market), order)
    job = job_of(order)
    Job.objects.filter(pk=job.pk).update(state=Job.State.REFUSED, code="not_cancelled")
    market.sim("amazon").cancel(order.external_id)
    market.poll("amazon")
    assert job_of(order).state == Job.State.DONE


def test_a_second_press_asks_nobody_twice(market: Market) -> None:
    order, client = sold(market, "amazon"), browser(market)
    ask(client, order)
    assert "is being asked to cancel this sale already" in ask(client, order)
    assert order.events.filter(code="cancel_asked").count() == 1


def test_not_while_it_is_being_written_into_the_erp(market: Market) -> None:
    order, client = sold(market, "amazon", exported=False), browser(market)
    erp = market.connections["bling"]
    Job.objects.create(connection=erp, operation="export", key=f"order:{order.pk}", order=order, state="running")
    assert "It is being sent at this moment" in ask(client, order)
    order.refresh_from_db()
    assert not order.held and not Job.objects.filter(operation="cancel_sale").exists()


def test_what_left_meanwhile_is_not_cancelled(market: Market) -> None:
    order = sold(market, "amazon")
    ask(browser(market), order)
    Order.objects.filter(pk=order.pk).update(status=OrderStatus.SHIPPED, shipped_at=timezone.now())
    market.work()
    assert (job_of(order).state, job_of(order).code) == (Job.State.REFUSED, "has_left")
    assert not market.sim("amazon").feeds


def test_whoever_lost_the_job_leaves_its_input_alone(market: Market) -> None:
    order = sold(market, "amazon")
    ask(browser(market), order)
    job = job_of(order)
    with pytest.raises(LeaseLost):
        cancelling._keep(job, under_way="1")
    assert job_of(order).input == {"reason": WORDS}


@pytest.mark.parametrize(
    "facts",
    [
        {"status": "shipped"},
        {"status": "delivered"},
        {"status": "cancelled"},
        {"status": "returned"},
        {"logistics": "fulfilled"},
    ],
)
def test_no_button_where_nothing_is_left_to_cancel(world: World, owner: Client, facts: dict[str, str]) -> None:
    order = world.order("1", **facts)
    assert 'data-key="cancel"' not in text_of(owner.get(f"/orders/{order.pk}/"))
    assert "cannot be cancelled at its channel any more" in ask(owner, order)
    assert not Job.objects.exists()


def test_no_button_where_the_channel_cannot_or_the_person_may_not(world: World, owner: Client, viewer: Client) -> None:
    order = world.order("1")
    assert 'data-key="cancel"' in text_of(owner.get(f"/orders/{order.pk}/"))
    assert 'data-key="cancel"' not in text_of(viewer.get(f"/orders/{order.pk}/"))
    assert viewer.post(f"/orders/{order.pk}/cancel/", {"reason": "x"}).status_code == 403
    assert "Say why" in ask(owner, order, "  ")
    assert not Job.objects.exists()
    with patch.object(registry, "services", dict):
        assert not cancelling.possible(order)
        with pytest.raises(Refusal):
            cancelling.ask(order, "x", "ana")


def test_an_order_cancelled_in_the_erp_can_be_cancelled_at_the_channel_from_its_page(
    world: World, owner: Client
) -> None:
    order = world.exported("1")
    Link.objects.filter(order=order).update(cancelled=True)
    Job.objects.create(
        connection=world.erp, operation="change_erp", key="cancelled:1", order=order, state="refused",
        category="rejected", error="The order was cancelled in the ERP, but the sale is not cancelled at the channel."
        " Cancel it there, or enter it in the ERP again; then mark this as handled.",
    )  # fmt: skip
    page = text_of(owner.get(f"/orders/{order.pk}/"))
    assert "Cancel it there" in page and f"/orders/{order.pk}/cancel/" in page


def test_budgets_hold_it_back_like_any_other(market: Market) -> None:
    order = sold(market, "amazon")
    ask(browser(market), order)
    used_up = Failure(Category.RATE_LIMITED, "no", retry_at=timezone.now() + timedelta(minutes=2))
    with patch("connectors.channels.amazon.adapter.Amazon.cancel", side_effect=used_up):
        market.work()
    assert job_of(order).state == Job.State.READY
    assert {"createFeed"} in [set(rate.operations) for rate in SERVICE.rates]
