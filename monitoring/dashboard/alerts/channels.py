"""`/alerts/channels/`: whom alerts are told to, whether that works, and a test of it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from monitoring.alerts import channels as ways
from monitoring.alerts.outbox import send_test
from monitoring.dashboard.access import signed_in
from monitoring.dashboard.frame import show
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.models import AlertChannel, Delivery

VIEW, ADD = "monitoring.view_alertchannel", "monitoring.add_alertchannel"
CHANGE, DELETE = "monitoring.change_alertchannel", "monitoring.delete_alertchannel"
SETTING = "setting_"
MOST = 200


class Listed(NamedTuple):
    """`to`: what of the settings tells it from others; no secret."""

    channel: AlertChannel
    to: str
    error: str
    sent_at: Any
    rules: int


class ChannelForm(forms.ModelForm):  # type: ignore[type-arg]
    """The fields of a channel, and those of its kind, called `setting_…`. A secret is not shown, and one that
    is left empty stays as it was."""

    class Meta:
        model = AlertChannel
        fields = ("name", "language", "group_s")
        labels = {"group_s": gettext_lazy("Gather for, in seconds"), "name": gettext_lazy("Name")}

    language = forms.ChoiceField(
        label=gettext_lazy("Language of its messages"),
        required=False,
        choices=lambda: [("", _("As the installation has it")), *settings.LANGUAGES],
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kept = self.instance.settings if self.instance.pk else {}
        for field in ways.fields(self.instance.kind):
            self.fields[SETTING + field.name] = _form_field(field, kept)

    def settings_fields(self) -> Iterator[forms.BoundField]:
        return (self[name] for name in self.fields if name.startswith(SETTING))

    def clean(self) -> dict[str, Any]:
        given = {
            name.removeprefix(SETTING): value
            for name, value in self.cleaned_data.items()
            if name.startswith(SETTING)
        }
        before = self.instance.settings if self.instance.pk else None
        try:
            self.instance.settings = ways.check(self.instance.kind, given, before)
        except ValidationError as error:
            for name, errors in error.message_dict.items():
                self.add_error(SETTING + name if SETTING + name in self.fields else None, errors)
        return self.cleaned_data


def _form_field(field: ways.Field, kept: dict[str, Any]) -> forms.Field:
    how: dict[str, Any] = {
        "label": _first_large(str(field.label)),
        "required": False,
        "help_text": field.help,
    }
    value = kept.get(field.name, field.default)
    if field.kind == "switch":
        return forms.BooleanField(initial=bool(value), **how)
    if field.kind == "secret":
        if kept.get(field.name):
            how["help_text"] = _("One is set. Empty: it stays.")
        return forms.CharField(widget=forms.PasswordInput(attrs={"autocomplete": "off"}), **how)
    if field.kind == "lines":
        text = "\n".join(value) if isinstance(value, list | tuple) else str(value or "")
        return forms.CharField(widget=forms.Textarea(attrs={"rows": 3}), initial=text, **how)
    return forms.CharField(initial=value, **how)


def _first_large(text: str) -> str:
    return text[:1].upper() + text[1:]


@require_safe
@signed_in(VIEW)
def channels(request: HttpRequest) -> HttpResponseBase:
    newest = Delivery.objects.filter(channel=OuterRef("pk")).order_by("-created_at")
    failed = newest.exclude(error="")
    found = AlertChannel.objects.annotate(
        rule_count=Count("rules", distinct=True),
        last_error=Subquery(failed.values("error")[:1]),
        failed_at=Subquery(failed.values("created_at")[:1]),
        last_sent=Subquery(
            newest.filter(state=Delivery.State.SENT).order_by("-sent_at").values("sent_at")[:1]
        ),
    )
    may_change = request.user.has_perm(CHANGE)
    context = {
        "here": "channels",
        "channels": [_listed(one, may_change) for one in found.order_by("name")[:MOST]],
        "may_change": may_change,
        **_more(request),
    }
    return show(request, "monitoring/dashboard/alerts/channels.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in(ADD)
def new(request: HttpRequest) -> HttpResponseBase:
    """First of which kind, then its form: `?kind=ntfy`."""
    kind = request.GET.get("kind", "")
    if not kind or ways.why_not(kind):
        context = {"here": "channels", "why": ways.why_not(kind) if kind else "", **_more(request)}
        status = 400 if kind else 200
        return show(request, "monitoring/dashboard/alerts/channel_kinds.html", context, status=status)
    return _form(request, AlertChannel(kind=kind))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in(CHANGE)
def channel(request: HttpRequest, channel_id: int) -> HttpResponseBase:
    return _form(request, _found(channel_id))


@require_POST
@signed_in(CHANGE)
def test(request: HttpRequest, channel_id: int) -> HttpResponseBase:
    """Sends one at once, and says what came of it; for htmx where the button stands."""
    found = _found(channel_id)
    receipt = send_test(found)
    if getattr(request, "htmx", False):
        context = {"receipt": receipt, "channel": found}
        return show(request, "monitoring/dashboard/alerts/tested.html", context)
    if receipt.state == Delivery.State.SENT:
        messages.success(request, _("A test was sent to “%s”.") % found.name)
    else:
        messages.error(
            request, _("The test to “%(name)s” failed: %(why)s") % {"name": found.name, "why": receipt.error}
        )
    return HttpResponseRedirect(reverse("dashboard:channels"))


@require_POST
@signed_in(CHANGE)
def switch(request: HttpRequest, channel_id: int) -> HttpResponseBase:
    wanted = request.POST.get("enabled") == "1"
    with transaction.atomic():
        found = _found(channel_id, lock=True)
        if wanted != found.enabled:
            found.switch(on=wanted)
            found.save()
    said = (
        _("“%s” is on. It will be told of what fires still and has not reached it.")
        if wanted
        else _("“%s” is off: nothing is sent to it.")
    )
    messages.success(request, said % found.name)
    return HttpResponseRedirect(reverse("dashboard:channels"))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in(DELETE)
def delete(request: HttpRequest, channel_id: int) -> HttpResponseBase:
    """Asks first."""
    found = _found(channel_id)
    if request.method == "POST":
        found.delete()
        messages.success(request, _("“%s” is deleted.") % found.name)
        return HttpResponseRedirect(reverse("dashboard:channels"))
    context = {"here": "channels", "channel": found, "rules": found.rules.all()[:MOST], **_more(request)}
    return show(request, "monitoring/dashboard/alerts/channel_delete.html", context)


def _form(request: HttpRequest, found: AlertChannel) -> HttpResponseBase:
    is_new = found.pk is None
    form = ChannelForm(request.POST or None, instance=found)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, _("“%s” is saved. Send it a test.") % found.name)
        return HttpResponseRedirect(reverse("dashboard:channels"))
    context = {
        "here": "channels",
        "form": form,
        "channel": found,
        "is_new": is_new,
        "may_delete": request.user.has_perm(DELETE),
        **_more(request),
    }
    status = 400 if form.errors else 200
    return show(request, "monitoring/dashboard/alerts/channel.html", context, status=status)


def _listed(found: AlertChannel, may_change: bool) -> Listed:
    said = ways.said(found.kind, found.settings, may_change)
    sent, failed_at = getattr(found, "last_sent", None), getattr(found, "failed_at", None)
    # An error before the last success is over.
    is_over = sent is not None and failed_at is not None and failed_at < sent
    error = "" if is_over else getattr(found, "last_error", None) or ""
    return Listed(found, said, error, sent, getattr(found, "rule_count", 0))


def _found(channel_id: int, lock: bool = False) -> AlertChannel:
    channels_: QuerySet[AlertChannel] = AlertChannel.objects.filter(pk=channel_id)
    if lock:
        channels_ = channels_.select_for_update(no_key=True)
    found = channels_.first() if channel_id <= MAX_SENSOR_ID else None
    if found is None:
        raise Http404(_("There is no channel with this number."))
    return found


def _more(request: HttpRequest) -> dict[str, Any]:
    offered = ways.offered()
    return {
        "kinds": [(kind, kind.label, ways.why_not(kind)) for kind in AlertChannel.Kind],
        "offered": offered,
        "may_see_channels": True,
        "may_see_silences": request.user.has_perm("monitoring.view_mute"),
        "may_make_channels": request.user.has_perm(ADD),
    }
