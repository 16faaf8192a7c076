from django.contrib import admin
from django.urls import include, path

from config.pages import favicon
from monitoring.api.health import healthz, readyz
from monitoring.metrics.view import metrics

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", include("monitoring.api.urls")),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
    path("favicon.ico", favicon),
    path("", include("monitoring.dashboard.urls")),
]

handler400 = "config.pages.bad_request"
handler403 = "config.pages.not_allowed"
handler404 = "config.pages.not_found"
handler500 = "config.pages.failed"
