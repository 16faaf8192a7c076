from django.contrib.auth.views import LogoutView
from django.urls import include, path

from monitoring.dashboard.alerts.of_sensor import incidents
from monitoring.dashboard.cells import cells, map_of_cells, wall
from monitoring.dashboard.compare import compare
from monitoring.dashboard.live import live
from monitoring.dashboard.login import Login
from monitoring.dashboard.overview import news, overview, start
from monitoring.dashboard.pipeline import pipeline
from monitoring.dashboard.preferences import preferences
from monitoring.dashboard.sensor import sensor

app_name = "dashboard"
urlpatterns = [
    path("", overview, name="overview"),
    path("sensors/<int:sensor_id>/", sensor, name="sensor"),
    path("sensors/<int:sensor_id>/incidents/", incidents, name="sensor_incidents"),
    path("compare/", compare, name="compare"),
    path("start/", start, name="start"),
    path("start/news/", news, name="news"),
    path("map/", map_of_cells, name="map"),
    path("map/cells/", cells, name="cells"),
    path("wall/", wall, name="wall"),
    path("alerts/", include("monitoring.dashboard.alerts.urls")),
    path("pipeline/", pipeline, name="pipeline"),
    path("live/", live, name="live"),
    path("login/", Login.as_view(), name="login"),
    path("logout/", LogoutView.as_view(next_page="/"), name="logout"),
    path("preferences/", preferences, name="preferences"),
]
