"""What the site says where no view answers: a page of ours, and under /api/ the same as JSON."""

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils.translation import gettext as _


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if isinstance(exception, DisallowedHost):
        return _answer(
            request,
            400,
            _("Not under this name"),
            _(
                "The site does not answer to the name in the address."
                " Whoever runs it can add it to ALLOWED_HOSTS."
            ),
        )
    return _answer(
        request, 400, _("That cannot be read"), _("The request is not one that the site understands.")
    )


def not_allowed(request: HttpRequest, exception: Exception) -> HttpResponse:
    detail = _("You are signed in, but may not do this. Whoever runs the site can give you the permission.")
    return _answer(request, 403, _("Not allowed"), detail)


def stale_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's CSRF_FAILURE_VIEW; `reason` is for its developers."""
    detail = _(
        "The form came without the mark that this site gave it. Go back, load the page again and send it once"
        " more; cookies have to be allowed. Behind a proxy, its address belongs into CSRF_TRUSTED_ORIGINS."
    )
    return _answer(request, 403, _("The form is out of date"), detail)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    detail = _("There is no such page, or what it showed has been removed.")
    return _answer(request, 404, _("Nothing here"), detail)


def failed(request: HttpRequest) -> HttpResponse:
    detail = _(
        "This is a fault of the site, not of what you did; nothing that was measured is lost. The log of the"
        " process “web” says more. Try again in a minute."
    )
    return _answer(request, 500, _("Something went wrong"), detail)


def favicon(request: HttpRequest) -> HttpResponse:
    """For what asks for it unasked: a browser that shows JSON."""
    return HttpResponseRedirect(static("monitoring/favicon.ico"), headers={"Cache-Control": "max-age=86400"})


def _answer(request: HttpRequest, status: int, title: str, detail: str) -> HttpResponse:
    if request.path_info.startswith("/api/"):
        return JsonResponse({"detail": detail}, status=status)
    # Without the request: nothing of what failed is asked for its context.
    page = render_to_string("error.html", {"status": status, "title": title, "detail": detail})
    return HttpResponse(page, status=status)
