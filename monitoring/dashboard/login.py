"""The login of the pages; the admin has its own, and one serves both."""

from typing import Any

from django.contrib.auth.views import LoginView
from django.http import HttpResponse

from monitoring.dashboard.frame import show


class Login(LoginView):
    template_name = "monitoring/dashboard/login.html"
    redirect_authenticated_user = True
    next_page = "/"

    def render_to_response(self, context: dict[str, Any], **more: Any) -> HttpResponse:
        return show(self.request, self.template_name, context, **more)
