"""Who may sign in, and for which seller. Only whoever runs the installation sees these."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from unfold.admin import ModelAdmin, TabularInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from hub.models import Membership, Seller

admin.site.unregister(User)
admin.site.unregister(Group)


class MembershipInline(TabularInline):
    model = Membership
    extra = 0
    autocomplete_fields = ("seller",)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    inlines = (MembershipInline,)


@admin.register(Seller)
class SellerAdmin(ModelAdmin):
    list_display = ("name", "slug", "time_zone", "risk_hours")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
