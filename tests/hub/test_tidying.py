from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.utils import timezone

from hub.models import Activity, SignIn
from hub.people.tidying import tidy


@pytest.mark.django_db
def test_what_is_over_goes_and_what_is_used_stays() -> None:
    now = timezone.now()
    user = User.objects.create(username="ana")
    for key, ends in (("old", -1), ("open", 1)):
        Session.objects.create(session_key=key, session_data="", expire_date=now + timedelta(days=ends))
        SignIn.objects.create(user=user, session_key=key, seen_at=now - timedelta(hours=2))
    SignIn.objects.create(user=user, session_key="just begun", seen_at=now)
    for days in (1, 800):
        Activity.objects.create(actor="ana", action="signed_in", at=now - timedelta(days=days))
    tidy(now)
    assert set(Session.objects.values_list("session_key", flat=True)) == {"open"}
    assert set(SignIn.objects.values_list("session_key", flat=True)) == {"open", "just begun"}
    assert Activity.objects.get().at == now - timedelta(days=1)
