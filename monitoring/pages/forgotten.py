"""A forgotten password: a link by e-mail, and the page it leads to. Django's own views, tokens and forms."""

from __future__ import annotations

from typing import Any

from axes.utils import reset
from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth import logout
from django.contrib.auth.forms import PasswordResetForm, SetPasswordForm
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import password_validators_help_texts
from django.contrib.auth.views import PasswordResetConfirmView, PasswordResetView
from django.http import HttpRequest, HttpResponse
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic.base import ContextMixin

from hub.people import forgotten
from hub.people.activity import address_of, record


class AskForm(PasswordResetForm):
    email = forms.EmailField(
        label=gettext_lazy("E-mail"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )

    def send_mail(
        self,
        subject_template_name: str,
        email_template_name: str,
        context: dict[str, Any],
        from_email: str | None,
        to_email: str,
        html_email_template_name: str | None = None,
    ) -> None:
        """To the hub's own address, whatever host the request named."""
        path = reverse("password_reset_confirm", args=[context["uid"], context["token"]])
        names = {"who": context["user"].get_username(), "link": settings.PUBLIC_URL + path}
        body = _(
            "Somebody asked for a new password for %(who)s in Entreposto.\n\n"
            "Open this link within an hour. It works once:\n%(link)s\n\n"
            "If it was not you, leave it: your password stays as it is."
        )
        forgotten.send(_("A new password for Entreposto"), body % names, to_email)


class NewPasswordForm(SetPasswordForm):
    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        # The page lists the hints itself: Django's are a list inside a paragraph.
        self.fields["new_password1"].help_text = ""


class Framed(ContextMixin):
    """Inside the frame of all pages."""

    request: HttpRequest

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**admin.site.each_context(self.request), **super().get_context_data(**kwargs)}


class Forgotten(Framed, PasswordResetView):
    form_class = AskForm
    template_name = "monitoring/people_forgotten.html"
    title = gettext_lazy("Forgot your password?")
    success_url = reverse_lazy("admin:login")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs, can_mail=forgotten.can_mail())

    def form_valid(self, form: PasswordResetForm) -> HttpResponse:
        """The same answer whether or not there is such a person."""
        if not forgotten.can_mail():
            return self.form_invalid(form)
        if not forgotten.asked(form.cleaned_data["email"], self.request):
            form.add_error(None, _("This was asked for too often. Wait a quarter of an hour and try again."))
            return self.form_invalid(form)
        messages.info(
            self.request, _("If there is an account with this e-mail, a link to a new password is on its way.")
        )
        return super().form_valid(form)


class NewPassword(Framed, PasswordResetConfirmView):
    """Nobody is signed in by it: that still takes the second factor."""

    form_class = NewPasswordForm
    template_name = "monitoring/people_new_password.html"
    title = gettext_lazy("New password")
    success_url = reverse_lazy("admin:login")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        hints = [text for text in password_validators_help_texts() if text]
        return {**super().get_context_data(**kwargs), "title": self.title, "hints": hints}

    def form_valid(self, form: SetPasswordForm[User]) -> HttpResponse:
        answer = super().form_valid(form)
        # This session may be one of those that the new password has ended.
        logout(self.request)
        # Whoever has guessed until the lock-out and then asked for the link need not wait.
        reset(ip=address_of(self.request), username=form.user.get_username())
        record(form.user.get_username(), "password_reset", request=self.request)
        messages.success(self.request, _("Your new password is set: sign in with it. All earlier sessions are ended."))
        return answer
