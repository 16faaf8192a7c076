"""The routes, in the order of the design's table."""

from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularSwaggerView

from monitoring.api.alert_rules import OneRule, Rules
from monitoring.api.backtest import BacktestRule
from monitoring.api.boards import Boards
from monitoring.api.channels import Channels, OneChannel, TestChannel
from monitoring.api.deletions import DeletionsOfSensor
from monitoring.api.errors import unknown_path
from monitoring.api.export import Export
from monitoring.api.incidents import Acknowledge, Incidents
from monitoring.api.jobs import DismissMany, Jobs, OneJob, ReplayMany
from monitoring.api.lists import LastOfSensor, MeasurementsOfSensor, Pipeline
from monitoring.api.lobby import Approve, ApproveMany, Block, Blocked, Lobby, Misfits, Unblock
from monitoring.api.measurements import Measurements
from monitoring.api.rejected import Dismiss, OneRejectedMessage, RejectedGroups, RejectedMessages, Replay
from monitoring.api.schema import SchemaView
from monitoring.api.sensors import OneSensor, Sensors
from monitoring.api.series import SeriesOfSensor, SeriesOfSensors
from monitoring.api.silences import OneSilence, Silences
from monitoring.api.tokens import Login, Logout, LogoutAll
from monitoring.api.trace import TraceView

monitoring = [
    path("sensors/", Sensors.as_view()),
    path("sensors/<int:sensor_id>/", OneSensor.as_view(), name="sensor"),
    path("boards/", Boards.as_view()),
    path("measurements/", Measurements.as_view()),
    path("sensors/<int:sensor_id>/measurements/", MeasurementsOfSensor.as_view()),
    path("sensors/<int:sensor_id>/measurements/export/", Export.as_view(), name="export"),
    path("sensors/<int:sensor_id>/deletions/", DeletionsOfSensor.as_view()),
    path("sensors/<int:sensor_id>/last/", LastOfSensor.as_view()),
    path("sensors/<int:sensor_id>/series/", SeriesOfSensor.as_view()),
    path("series/", SeriesOfSensors.as_view()),
    path("rejected/", RejectedMessages.as_view()),
    path("rejected/groups/", RejectedGroups.as_view()),
    path("rejected/replay/", ReplayMany.as_view()),
    path("rejected/dismiss/", DismissMany.as_view()),
    path("rejected/<int:message_id>/", OneRejectedMessage.as_view()),
    path("rejected/<int:message_id>/replay/", Replay.as_view()),
    path("rejected/<int:message_id>/dismiss/", Dismiss.as_view()),
    path("jobs/", Jobs.as_view()),
    path("jobs/<int:job_id>/", OneJob.as_view(), name="job"),
    path("lobby/", Lobby.as_view()),
    path("lobby/approve/", ApproveMany.as_view()),
    path("lobby/blocked/", Blocked.as_view()),
    path("lobby/misfits/", Misfits.as_view()),
    path("lobby/<int:sensor_id>/approve/", Approve.as_view()),
    path("lobby/<int:sensor_id>/block/", Block.as_view()),
    path("lobby/<int:sensor_id>/unblock/", Unblock.as_view()),
    path("alerts/rules/", Rules.as_view()),
    path("alerts/rules/backtest/", BacktestRule.as_view()),
    path("alerts/rules/<int:rule_id>/", OneRule.as_view()),
    path("alerts/incidents/", Incidents.as_view()),
    path("alerts/incidents/<int:incident_id>/acknowledge/", Acknowledge.as_view()),
    path("alerts/silences/", Silences.as_view()),
    path("alerts/silences/<int:silence_id>/", OneSilence.as_view()),
    path("alerts/channels/", Channels.as_view()),
    path("alerts/channels/<int:channel_id>/", OneChannel.as_view()),
    path("alerts/channels/<int:channel_id>/test/", TestChannel.as_view()),
    path("pipeline/", Pipeline.as_view()),
    path("trace/", TraceView.as_view()),
]

auth = [
    path("login/", Login.as_view()),
    path("logout/", Logout.as_view()),
    path("logoutall/", LogoutAll.as_view()),
]

urlpatterns = [
    path("monitoring/", include(monitoring)),
    path("auth/", include(auth)),
    path("schema/", SchemaView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerView.as_view(url_name="schema")),
    re_path("", unknown_path),
]
