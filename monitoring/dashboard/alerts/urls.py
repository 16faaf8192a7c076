from django.urls import path

from monitoring.dashboard.alerts import channels, incidents, rules, silences
from monitoring.dashboard.alerts.counting import count

urlpatterns = [
    path("", incidents.alerts, name="alerts"),
    path("count/", count, name="alerts_count"),
    path("incidents/<int:incident_id>/", incidents.incident, name="incident"),
    path("incidents/<int:incident_id>/acknowledge/", incidents.acknowledged, name="acknowledge"),
    path("rules/", rules.listing, name="rules"),
    path("rules/new/", rules.new, name="rule_new"),
    path("rules/<int:rule_id>/", rules.rule, name="rule"),
    path("rules/<int:rule_id>/switch/", rules.switch, name="rule_switch"),
    path("rules/<int:rule_id>/delete/", rules.delete, name="rule_delete"),
    path("silences/", silences.silences, name="silences"),
    path("silences/new/", silences.new, name="silence_new"),
    path("silences/<int:silence_id>/end/", silences.end, name="silence_end"),
    path("channels/", channels.channels, name="channels"),
    path("channels/new/", channels.new, name="channel_new"),
    path("channels/<int:channel_id>/", channels.channel, name="channel"),
    path("channels/<int:channel_id>/test/", channels.test, name="channel_test"),
    path("channels/<int:channel_id>/switch/", channels.switch, name="channel_switch"),
    path("channels/<int:channel_id>/delete/", channels.delete, name="channel_delete"),
]
