"""Users, groups and the API's tokens."""

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from knox.models import get_digest_token
from knox.settings import CONSTANTS
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from monitoring.admin import ages
from monitoring.admin.column import column, unbroken
from monitoring.models import Token
from monitoring.models.token import Scope

for model in (User, Group):
    admin.site.unregister(model)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[misc,type-arg]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):  # type: ignore[misc]
    pass


@admin.register(Token)
class TokenAdmin(ModelAdmin):  # type: ignore[misc]
    """Made here and shown once; revoked by deleting. Each for oneself, a superuser for anybody."""

    list_display = ("starts_with", "name", "scope", "whose", "made", "ends")
    list_display_links = None
    list_select_related = ("user",)
    list_filter = ("scope",)
    search_fields = ("name", "user__username")
    ordering = ("-created",)

    @column(_("begins with"))
    def starts_with(self, token: Token) -> str:
        return token.begins_with

    # knox's own fields have their names for titles, in English alone.
    @column(_("user"), order="user")
    def whose(self, token: Token) -> str:
        return str(token.user)

    @column(ages.in_zone(_("made at")), order="created")
    def made(self, token: Token) -> SafeString:
        return unbroken(ages.to_the_minute(token.created))

    @column(_("good until"))
    def ends(self, token: Token) -> str:
        if token.expiry is None:
            return gettext("it is revoked")
        until = ages.exact(token.expiry)
        return gettext("%s (expired)") % until if token.has_expired else until

    def get_queryset(self, request: HttpRequest) -> Any:
        tokens = super().get_queryset(request)
        return tokens if request.user.is_superuser else tokens.filter(user=request.user)

    def get_fields(self, request: HttpRequest, obj: Token | None = None) -> tuple[str, ...]:
        return ("whose", "scope", "name", "made", "ends") if obj else ("user", "scope", "name", "expiry")

    def get_form(self, request: HttpRequest, obj: Token | None = None, **more: Any) -> Any:
        labels = {"user": capfirst(_("user")), "expiry": capfirst(_("good until"))}
        return super().get_form(request, obj, labels=labels, **more)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **more: Any) -> Any:
        # Who could make one for a superuser would be one.
        if db_field.name == "user" and not request.user.is_superuser:
            more["queryset"] = get_user_model().objects.filter(pk=request.user.pk or 0)
        return super().formfield_for_foreignkey(db_field, request, **more)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        return {"user": request.user.pk, "scope": Scope.READ} | initial

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, token: Token, form: Any, change: bool) -> None:
        token.digest, text = get_digest_token()
        token.token_key = text[: CONSTANTS.TOKEN_KEY_LENGTH]
        token.save(force_insert=True)
        request._made_token = text  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, token: Token, post_url_continue: Any = None) -> Any:
        """The page itself, no redirect: the token is kept nowhere on its way."""
        context = self.admin_site.each_context(request) | {
            "title": gettext("A new API token"),
            "opts": self.opts,
            "token": token,
            "text": request._made_token,  # type: ignore[attr-defined]
        }
        return TemplateResponse(request, "monitoring/admin/token_made.html", context)
