"""Language, time zone and theme: chosen here, kept in the viewer's browser."""

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from monitoring.dashboard.frame import show
from monitoring.dashboard.viewer import A_YEAR, AUTO, THEME_COOKIE, THEMES, ZONE_COOKIE, Viewer, zones


class PreferencesForm(forms.Form):
    """Each field by itself: the header's buttons send one."""

    language = forms.ChoiceField(label=_("Language"), choices=settings.LANGUAGES, required=False)
    zone = forms.ChoiceField(
        label=_("Time zone"),
        choices=lambda: [(AUTO, _("My browser’s")), *((zone, zone.replace("_", " ")) for zone in zones())],
        required=False,
    )
    theme = forms.ChoiceField(
        label=_("Colours"),
        choices=list(zip(THEMES, (_("As my system has them"), _("Light"), _("Dark")), strict=True)),
        required=False,
    )


@require_http_methods(["GET", "HEAD", "POST"])
def preferences(request: HttpRequest) -> HttpResponse:
    """GET: the form. POST: sets the cookies of what was sent, and goes back to `next`."""
    if request.method != "POST":
        viewer = Viewer.of(request)
        chosen = {
            "language": get_language(),
            "zone": viewer.zone if viewer.zone_chosen else AUTO,
            "theme": viewer.theme,
        }
        form = PreferencesForm(initial=chosen)
        return show(
            request, "monitoring/dashboard/preferences.html", {"form": form, "next": _next(request.GET)}
        )
    form = PreferencesForm(request.POST)
    if not form.is_valid():
        context = {"form": form, "next": _next(request.POST)}
        return show(request, "monitoring/dashboard/preferences.html", context, status=400)
    response = HttpResponseRedirect(_next(request.POST))
    for field, cookie in (
        ("language", settings.LANGUAGE_COOKIE_NAME),
        ("zone", ZONE_COOKIE),
        ("theme", THEME_COOKIE),
    ):
        value = form.cleaned_data[field]
        if value == AUTO:
            # The next page's script asks the browser again.
            response.delete_cookie(cookie)
        elif value:
            # Not HttpOnly: scripts write times and draw charts by them.
            response.set_cookie(
                cookie, value, max_age=A_YEAR, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE
            )
    return response


def _next(said: "dict[str, str]") -> str:
    """Where to go back to: a page of ours, whatever the address says."""
    url = str(said.get("next", ""))
    return url if url_has_allowed_host_and_scheme(url, allowed_hosts=None) else "/"
