from django.test import Client

from connectors.models import InboxEntry, Job
from tests.monitoring.world import World


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


def test_all_of_one_cause(owner: Client, world: World, other: World) -> None:
    same = [world.export_job(world.order(number)) for number in "123"]
    another = world.export_job(world.order("4"), error="Something else.")
    foreign = other.export_job(other.order("5"))
    cause = owner.get("/failures/").context["causes"][0]
    assert cause.count == 3
    form = {"connection": cause.connection_id, "operation": cause.operation, "code": cause.code, "error": cause.error}
    owner.post("/failures/retry/", form)
    assert Job.objects.filter(pk__in=[job.pk for job in same], state=Job.State.READY).count() == 3
    for job in (another, foreign):
        job.refresh_from_db()
        assert job.state == Job.State.REFUSED


def test_a_cause_is_tried_again_as_often_as_it_was_counted(owner: Client, world: World) -> None:
    for number, code, state in (
        ("1", "a", "refused"),
        ("2", "a", "refused"),
        ("3", "b", "refused"),
        ("4", "a", "ready"),
    ):
        world.export_job(world.order(number), state, code=code)
    page = owner.get("/failures/?show=refused")
    (cause,) = page.context["causes"]
    assert (cause.count, cause.code) == (2, "a")
    assert "Try all 2 again" in page.content.decode()
    form = {
        "connection": cause.connection_id,
        "operation": "export",
        "code": "a",
        "error": cause.error,
        "show": "refused",
    }
    said = owner.post("/failures/retry/", form, follow=True).content.decode()
    assert "2 are tried again now." in said
    assert Job.objects.filter(state=Job.State.REFUSED).get().code == "b"


def test_the_ticked_ones(owner: Client, world: World, other: World) -> None:
    mine, left, foreign = (
        world.export_job(world.order("1")),
        world.export_job(world.order("2")),
        other.export_job(other.order("3")),
    )
    owner.post("/failures/retry/", {"job": [mine.pk, foreign.pk]})
    states = {job.pk: job.state for job in Job.objects.all()}
    assert states == {mine.pk: "ready", left.pk: "refused", foreign.pk: "refused"}


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
    page = owner.get(f"/failures/documents/{world.rejected('9').pk}/").content.decode()
    assert "12345678901234567890.10" in page


def test_reading_again_says_what_came_of_it(owner: Client, world: World) -> None:
    entry = world.rejected("9")
    answer = owner.post(f"/failures/documents/{entry.pk}/replay/", follow=True)
    entry.refresh_from_db()
    assert entry.state == InboxEntry.State.REJECTED
    assert "It still cannot be read." in answer.content.decode()


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
