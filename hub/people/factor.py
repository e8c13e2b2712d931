"""The second factor: a code of an app (TOTP) or one of ten codes on paper, each of which works once."""

from base64 import b32encode
from collections.abc import Iterable
from io import BytesIO

import django_otp
import qrcode
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest
from django_otp.models import Device
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from qrcode.image.svg import SvgPathImage

from hub.people.activity import record
from hub.people.sessions import end_all

CODES = 10


def has(user: User) -> bool:
    return TOTPDevice.objects.filter(user=user, confirmed=True).exists()


def among(users: Iterable[User]) -> set[int]:
    """The ids of those who have one."""
    return set(TOTPDevice.objects.filter(user__in=list(users), confirmed=True).values_list("user_id", flat=True))


def begun(user: User) -> TOTPDevice | None:
    """The app that was shown a picture and has not answered yet."""
    return TOTPDevice.objects.filter(user=user, confirmed=False).first()


@transaction.atomic
def begin(user: User) -> TOTPDevice:
    TOTPDevice.objects.filter(user=user, confirmed=False).delete()
    made: TOTPDevice = TOTPDevice.objects.create(user=user, name="app", confirmed=False)
    return made


def picture(device: TOTPDevice) -> str:
    """The QR code of its secret as SVG, drawn here: no other host learns it."""
    drawn = BytesIO()
    qrcode.make(device.config_url, image_factory=SvgPathImage, border=2).save(drawn)
    return drawn.getvalue().decode().partition("?>")[2].strip()


def typed_secret(device: TOTPDevice) -> str:
    """For an app without a camera: Base32 in groups of four."""
    secret = b32encode(device.bin_key).decode()
    return " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))


def confirm(request: HttpRequest, user: User, code: str) -> list[str]:
    """The app answers with its first code: from now on it is asked for. Returns the codes for paper; [] if wrong."""
    device = begun(user)
    if device is None or django_otp.verify_token(user, device.persistent_id, _digits(code)) is None:
        return []
    with transaction.atomic():
        TOTPDevice.objects.filter(user=user, confirmed=True).delete()
        TOTPDevice.objects.filter(pk=device.pk).update(confirmed=True)
        codes = new_codes(user)
        record(user.get_username(), "second_factor_added", request=request)
    django_otp.login(request, device)
    # Whoever signed in with the password alone has to show the second factor, too.
    end_all(user, besides=request.session.session_key)
    return codes


@transaction.atomic
def new_codes(user: User) -> list[str]:
    """Ten of them; earlier ones end."""
    StaticDevice.objects.filter(user=user).delete()
    device = StaticDevice.objects.create(user=user, name="paper", confirmed=True)
    codes = [StaticToken.random_token() for _number in range(CODES)]
    StaticToken.objects.bulk_create(StaticToken(device=device, token=code) for code in codes)
    return codes


def codes_left(user: User) -> int:
    return StaticToken.objects.filter(device__user=user).count()


def check(request: HttpRequest, user: User, code: str) -> bool:
    """Whether the code is right; then this session has both factors. django-otp slows down who guesses."""
    typed = _digits(code)
    wanted = TOTPDevice if typed.isdigit() else StaticDevice
    for device in wanted.objects.filter(user=user, confirmed=True):
        found: Device | None = django_otp.verify_token(user, device.persistent_id, typed)
        if found is not None:
            django_otp.login(request, found)
            return True
    record(user.get_username(), "second_factor_wrong", request=request)
    return False


def _digits(code: str) -> str:
    return "".join(code.split()).lower()


@transaction.atomic
def drop(user: User, actor: str, request: HttpRequest) -> None:
    """The password is enough again: the person wants it, or has lost the telephone."""
    TOTPDevice.objects.filter(user=user).delete()
    StaticDevice.objects.filter(user=user).delete()
    record(actor, "second_factor_removed", subject=user, request=request)
