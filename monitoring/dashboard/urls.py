from django.contrib.auth.views import LogoutView
from django.urls import path

from monitoring.dashboard.login import Login
from monitoring.dashboard.overview import overview
from monitoring.dashboard.preferences import preferences

app_name = "dashboard"
urlpatterns = [
    path("", overview, name="overview"),
    path("login/", Login.as_view(), name="login"),
    path("logout/", LogoutView.as_view(next_page="/"), name="logout"),
    path("preferences/", preferences, name="preferences"),
]
