from django.test import Client

from connectors.models import InboxEntry, Job
from monitoring.incidents import gather
from tests.monitoring.world import World, text_of


def test_one_is_tried_again(owner: Client, world: World) -> None:
    job = world.export_job(world.order("1"), attempts=3)
    answer = owner.post(f"/failures/jobs/{job.pk}/retry/", {"next": "/failures/?show=refused"})
    job.refresh_from_db()
    assert (job.state, job.attempts) == (Job.State.READY, 0)
    assert answer.headers["location"] == "/failures/?show=refused"


def test_it_leads_to_no_foreign_site(owner: Client, world: World) -> None:
    job = world.export_job(world.order("1"))
    answer = owner.post(f"/failures/jobs/{job.pk}/retry/", {"next": "https://evil.example/"})
    assert answer.headers["location"] == "/failures/"


def test_incidents_come_first_and_only_ones_own(owner: Client, world: World, other: World) -> None:
    for number in "123":
        world.export_job(world.order(number))
    other.export_job(other.order("4"))
    gather.gather()
    page = owner.get("/failures/")
    (seen,) = page.context["incidents"]["open"]
    assert "3 have this cause" in text_of(page)
    assert (seen.incident.blocked, seen.incident.seller) == (3, world.seller)


def test_a_failed_order_is_found_by_its_number(owner: Client, world: World) -> None:
    jobs = [world.export_job(world.order(number)) for number in ("77", "78")]
    entry = world.rejected("79")
    assert [job for job, _alike in owner.get("/failures/?q=78").context["jobs"]] == [jobs[1]]
    assert owner.get("/failures/?q=79").context["entries"] == [entry]
    assert "Nothing of this kind." in text_of(owner.get("/failures/?q=80"))


def test_the_ticked_ones(owner: Client, world: World, other: World) -> None:
    mine, left, foreign = (
        world.export_job(world.order("1")),
        world.export_job(world.order("2")),
        other.export_job(other.order("3")),
    )
    owner.post("/failures/retry/", {"job": [mine.pk, foreign.pk]})
    states = {job.pk: job.state for job in Job.objects.all()}
    assert states == {mine.pk: "ready", left.pk: "refused", foreign.pk: "refused"}


def test_many_tried_again_are_one_line_of_the_log(owner: Client, world: World) -> None:
    ticked = {"job": [world.export_job(world.order("1")).pk], "entry": [world.rejected("9").pk]}
    owner.post("/failures/retry/", ticked)
    assert list(world.seller.activities.values_list("action", "after")) == [("steps_retried", {"count": 2})]


def test_handled_by_hand_needs_a_reason(owner: Client, world: World) -> None:
    job, entry = world.export_job(world.order("1")), world.rejected("9")
    for path in (f"/failures/jobs/{job.pk}/close/", f"/failures/documents/{entry.pk}/close/"):
        owner.post(path, {"reason": " "})
    job.refresh_from_db()
    entry.refresh_from_db()
    assert (job.state, entry.state) == (Job.State.REFUSED, InboxEntry.State.REJECTED)
    for path in (f"/failures/jobs/{job.pk}/close/", f"/failures/documents/{entry.pk}/close/"):
        owner.post(path, {"reason": "typed into the ERP"})
    job.refresh_from_db()
    entry.refresh_from_db()
    assert (job.state, entry.state) == (Job.State.CLOSED, InboxEntry.State.CLOSED)


def test_a_document_is_shown_as_it_came(owner: Client, world: World) -> None:
    page = text_of(owner.get(f"/failures/documents/{world.rejected('9').pk}/"))
    assert "12345678901234567890.10" in page


def test_reading_again_says_what_came_of_it(owner: Client, world: World) -> None:
    entry = world.rejected("9")
    answer = owner.post(f"/failures/documents/{entry.pk}/replay/", follow=True)
    entry.refresh_from_db()
    assert entry.state == InboxEntry.State.REJECTED
    assert "It still cannot be read." in text_of(answer)


def test_views(owner: Client, world: World) -> None:
    world.export_job(world.order("1"))
    world.export_job(world.order("2"), Job.State.UNKNOWN)
    world.export_job(world.order("3"), Job.State.READY)
    world.rejected("9")
    counts = {}
    for view in ("", "person", "refused", "unread", "unknown", "trying", "nonsense"):
        context = owner.get(f"/failures/?show={view}").context
        counts[view] = (len(context["jobs"]), len(context["entries"]))
    assert counts == {
        "": (3, 1),
        "person": (1, 1),
        "refused": (1, 0),
        "unread": (0, 1),
        "unknown": (1, 0),
        "trying": (1, 0),
        "nonsense": (3, 1),
    }
