from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from monitoring.api.health import healthz, readyz

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    path("api/", include("monitoring.api.urls")),
    path("healthz", healthz),
    path("readyz", readyz),
]
