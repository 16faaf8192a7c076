"""Whom alerts are told to, and what became of each message."""

from collections.abc import Mapping
from typing import Any, cast

from django import forms
from django.conf import settings as site
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import lazy
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import get_language_info, gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from monitoring.admin import ages
from monitoring.admin.column import column, unbroken
from monitoring.admin.read_only import ReadOnlyAdmin, TimeRange, time_range
from monitoring.alerts import channels, outbox
from monitoring.models import AlertChannel, Delivery

KINDS = tuple(AlertChannel.Kind)


def _language(code: str) -> str:
    """Its name in the reader's language."""
    return str(get_language_info(code)["name_translated"])


_language_lazily = lazy(_language, str)


def _name(kind: str, setting: str) -> str:
    """Of a form's field: two kinds may have a setting of the same name."""
    return f"{kind}_{setting}"


def _form_field(field: channels.Field) -> forms.Field:
    """What is needed is said by monitoring.alerts.channels, of the kind that was chosen alone."""
    said: dict[str, Any] = {
        "label": capfirst(cast(str, field.label)),
        "help_text": field.help,
        "required": False,
    }
    if field.kind == "switch":
        return forms.BooleanField(**said, widget=UnfoldBooleanSwitchWidget)
    if field.kind == "lines":
        return forms.CharField(**said, widget=UnfoldAdminTextareaWidget)
    if field.kind == "secret":
        return forms.CharField(
            **said, widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})
        )
    return forms.CharField(**said, widget=UnfoldAdminTextInputWidget)


class ChannelForm(forms.ModelForm):  # type: ignore[type-arg]
    """The settings of each kind, as fields; of those, the ones of the channel's kind are shown, and count.

    `kind`: of a channel that is being made.
    """

    kind = ""
    language = forms.ChoiceField(
        label=capfirst(_("language")),
        choices=[
            ("", _("the installation's")),
            *((code, _language_lazily(code)) for code, _own in site.LANGUAGES),
        ],
        required=False,
        widget=UnfoldAdminSelectWidget,
    )

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        channel = self.instance
        if channel.pk is None:
            channel.kind = self.kind
            for field in channels.fields(channel.kind):
                self.fields[_name(channel.kind, field.name)].initial = field.default
            return
        # A form is for those who may change it.
        shown = channels.shown(channel.kind, channel.settings, may_change=True)
        for field in channels.fields(channel.kind):
            entry = self.fields[_name(channel.kind, field.name)]
            value = shown[field.name]
            if field.kind == "secret":
                if value:
                    entry.help_text = gettext("It is set, and not shown. Left empty, it stays as it is.")
            else:
                entry.initial = "\n".join(value) if isinstance(value, list) else value

    def clean(self) -> dict[str, Any] | None:
        said = super().clean() or self.cleaned_data
        kind = self.instance.kind
        given = {field.name: said.get(_name(kind, field.name)) for field in channels.fields(kind)}
        before = self.instance.settings if self.instance.pk else None
        try:
            self.instance.settings = channels.check(kind, _filled(given), before)
        except ValidationError as error:
            self._add(kind, error.message_dict)
        return said

    def _add(self, kind: str, wrong: Mapping[str, list[str]]) -> None:
        for name, said in wrong.items():
            field = _name(kind, name)
            at = field if field in self.fields else name if name in self.fields else None
            self.add_error(at, said)


def _filled(given: Mapping[str, Any]) -> dict[str, Any]:
    """What was left empty is as if it were not there."""
    return {name: value for name, value in given.items() if value not in ("", None)}


def _with_kind(request: HttpRequest, kind: AlertChannel.Kind) -> str:
    """The same address, as of the window that a rule's form opens, with the kind."""
    query = request.GET.copy()
    query["kind"] = kind.value
    return f"?{query.urlencode()}"


_Form: Any = type(
    "ChannelFormOfAllKinds",
    (ChannelForm,),
    {_name(kind, field.name): _form_field(field) for kind in KINDS for field in channels.fields(kind)},
)


@admin.register(AlertChannel)
class AlertChannelAdmin(ModelAdmin):  # type: ignore[misc]
    """What is secret is written and never shown."""

    form = _Form
    list_display = ("name", "kind", "state", "why", "of_rules", "gathers")
    list_display_links = ("name",)
    list_per_page = 50
    list_fullwidth = True
    search_fields = ("name",)
    sortable_by = ("name", "kind")
    ordering = ("name",)
    actions = ("send_test",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AlertChannel]:
        return AlertChannel.objects.annotate(rule_count=Count("rules"))

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """First the kind is chosen: each has settings of its own."""
        kind = request.GET.get("kind", "")
        if kind in KINDS and not channels.why_not(kind):
            title = gettext("New channel: %s") % AlertChannel.Kind(kind).label
            more = {"title": title} | (extra_context or {})
            answer: HttpResponse = super().add_view(request, form_url, more)
            return answer
        if not self.has_add_permission(request):
            raise PermissionDenied
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": gettext("New channel"),
            "opts": self.opts,
            "kinds": [
                (capfirst(one.label), _with_kind(request, one), channels.why_not(one)) for one in KINDS
            ],
        }
        return TemplateResponse(request, "monitoring/admin/channel_kinds.html", context)

    def get_form(self, request: HttpRequest, obj: AlertChannel | None = None, **more: Any) -> Any:
        form = super().get_form(request, obj, **more)
        form.kind = obj.kind if obj else request.GET.get("kind", "")
        return form

    def get_fieldsets(self, request: HttpRequest, obj: AlertChannel | None = None) -> Any:
        kind = obj.kind if obj else request.GET.get("kind", "")
        fields = ["name", "enabled", "group_s", "language"]
        if obj is not None and obj.disabled_why:
            fields.append("disabled_why")
        if kind not in KINDS:
            return [(None, {"fields": fields})]
        own = [_name(kind, field.name) for field in channels.fields(kind)]
        if obj is not None and not self.has_change_permission(request, obj):
            own = ["tells"]
        return [(None, {"fields": fields}), (capfirst(AlertChannel.Kind(kind).label), {"fields": own})]

    def get_readonly_fields(self, request: HttpRequest, obj: AlertChannel | None = None) -> tuple[str, ...]:
        return ("disabled_why", "tells") if obj else ()

    def save_model(self, request: HttpRequest, obj: AlertChannel, form: Any, change: bool) -> None:
        if change and "enabled" in form.changed_data:
            obj.switch(on=obj.enabled)
        obj.save()

    @admin.action(description=_("Send a test"), permissions=["change"])
    def send_test(self, request: HttpRequest, queryset: QuerySet[AlertChannel]) -> None:
        chosen = list(queryset[:2])
        if len(chosen) > 1:
            text = gettext("Send a test to one channel at a time: each may take 20 seconds.")
            self.message_user(request, text, messages.ERROR)
            return
        for channel in chosen:
            receipt = outbox.send_test(channel)
            said = {"channel": channel.name, "error": receipt.error}
            if receipt.state == Delivery.State.SENT:
                self.message_user(request, gettext("A test was sent to %(channel)s.") % said)
            else:
                text = gettext("The test could not be sent to %(channel)s: %(error)s") % said
                self.message_user(request, text, messages.ERROR)

    @column(_("state"), label={"on": "success", "off": "info", "failed": "danger"})
    def state(self, channel: AlertChannel) -> tuple[str, str]:
        if channel.enabled:
            return "on", gettext("on")
        return ("failed", gettext("off: it failed")) if channel.disabled_why else ("off", gettext("off"))

    @column(_("why it is off"))
    def why(self, channel: AlertChannel) -> str:
        if not channel.disabled_why or channel.disabled_at is None:
            return channel.disabled_why
        return f"{ages.to_the_minute(channel.disabled_at)} ({ages.zone()}): {channel.disabled_why}"

    @column(_("to"))
    def tells(self, channel: AlertChannel) -> str:
        """For those who may look at it alone."""
        return channels.said(channel.kind, channel.settings, may_change=False)

    @column(_("rules"))
    def of_rules(self, channel: AlertChannel) -> int:
        count: int = channel.rule_count  # type: ignore[attr-defined]
        return count

    @column(_("gathers for"))
    def gathers(self, channel: AlertChannel) -> str:
        return gettext("%d s") % channel.group_s


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ("made", "channel", "what", "how", "tries", "next", "sent", "error")
    list_display_links = ("made",)
    list_select_related = ("channel",)
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("channel", AutocompleteSelectFilter),
        ("created_at", TimeRange),
    )
    lookups = ("state__exact", "channel__id__exact", *time_range("created_at"))
    ordering = ("-created_at", "-id")
    fieldsets = (
        (None, {"fields": ("id", "channel", "what", "state_shown", "error")}),
        (_("Times"), {"fields": (("made", "sent"), ("tries", "next"))}),
    )
    readonly_fields = ("id", "channel", "what", "state_shown", "made", "sent", "next")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        return Delivery.objects.select_related("channel").prefetch_related("notifications__incident")

    @column(ages.in_zone(_("made")))
    def made(self, delivery: Delivery) -> SafeString:
        return unbroken(ages.exact(delivery.created_at))

    @column(_("what"))
    def what(self, delivery: Delivery) -> str:
        if delivery.is_test:
            return str(_("a test"))
        told = [f"{one.incident.title}: {one.get_event_display()}" for one in delivery.notifications.all()]
        return ", ".join(told[:3]) + (f", … ({len(told)})" if len(told) > 3 else "")

    @column(_("state"), label={"pending": "info", "sent": "success", "failed": "danger"})
    def how(self, delivery: Delivery) -> tuple[str, Any]:
        return delivery.state, delivery.get_state_display()

    @column(_("state"))
    def state_shown(self, delivery: Delivery) -> str:
        return delivery.get_state_display()

    @column(ages.in_zone(_("next try")))
    def next(self, delivery: Delivery) -> SafeString | None:
        return unbroken(ages.exact(delivery.next_at)) if delivery.next_at else None

    @column(ages.in_zone(_("sent")))
    def sent(self, delivery: Delivery) -> SafeString | None:
        return unbroken(ages.exact(delivery.sent_at)) if delivery.sent_at else None
