"""jobs/: many rejected messages replayed or set aside at once; asked for, watched, and stopped."""

from datetime import UTC
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring.api.bodies import ChangedUnit, DismissManyBody, ReplayManyBody, unit_change
from monitoring.api.errors import ConflictError, unless_passing
from monitoring.api.pages import LINK, page_by_id
from monitoring.api.permissions import user_of
from monitoring.api.query import PageQuery, take_none
from monitoring.api.rejected import CHANGE, VIEW
from monitoring.api.serializers import DetailSerializer
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.models import Job
from monitoring.numbers import grouped
from monitoring.rejected import jobs
from monitoring.rejected.replay import UnitChange
from monitoring.rejected.selection import Selection

_NONE = _("There is no job with this id.")
# As the routes that take a selection name them.
_NAMES = {"start": "from", "until": "to"}


class JobSerializer(serializers.ModelSerializer[Job]):
    state = serializers.ChoiceField(choices=Job.State.choices)
    selection = serializers.SerializerMethodField(help_text="Which messages, as it was asked for.")
    unit = serializers.SerializerMethodField()
    requested_by = serializers.SerializerMethodField(help_text="Null: by a command.")
    requested_at = serializers.DateTimeField(default_timezone=UTC)
    finished_at = serializers.DateTimeField(allow_null=True, default_timezone=UTC)
    total = serializers.IntegerField(help_text="Messages; 0 until it has begun.")
    dealt_with = serializers.IntegerField(help_text="Of these.")
    stored = serializers.IntegerField(help_text="Readings, as are duplicates and rejected.")
    dismissed = serializers.IntegerField(help_text="Messages.")
    codes = serializers.DictField(child=serializers.IntegerField(), help_text="What was rejected again.")
    error = serializers.CharField(help_text="Why it does not go on; it is tried again each minute.")

    class Meta:
        model = Job
        fields = [
            *("id", "kind", "state", "selection", "unit", "reason"),
            *("requested_by", "requested_at", "stop_requested", "finished_at"),
            *("total", "dealt_with", "stored", "duplicates", "rejected", "dismissed", "codes", "error"),
        ]

    def get_selection(self, job: Job) -> dict[str, Any]:
        said = Selection.from_json(job.selection).as_json()
        return {
            _NAMES.get(name, name): value.replace("+00:00", "Z") if name in _NAMES else value
            for name, value in said.items()
        }

    @extend_schema_field(ChangedUnit(allow_null=True))
    def get_unit(self, job: Job) -> dict[str, str] | None:
        return job.change and {"from": job.change["unit"], "to": job.change["becomes"]}

    def get_requested_by(self, job: Job) -> str | None:
        return job.requested_by or None


class RequestedSerializer(serializers.Serializer[Any]):
    detail = serializers.CharField()
    job = serializers.IntegerField(help_text="Its id in `jobs/`, where `Location` points.")
    messages = serializers.IntegerField(help_text="How many wait that it would take now.")


class SumsSerializer(serializers.Serializer[Any]):
    """Of a dry run."""

    detail = serializers.CharField()
    total = serializers.IntegerField(help_text="Messages that would be replayed.")
    looked_at = serializers.IntegerField(
        help_text=f"Of these; past {jobs.LOOKED_AT:,} the rest is left, and the sums are of those alone."
    )
    is_complete = serializers.BooleanField(help_text="Whether all were looked at.")
    stored = serializers.IntegerField(help_text="Readings, as are duplicates and rejected.")
    duplicates = serializers.IntegerField()
    rejected = serializers.DictField(child=serializers.IntegerField(), help_text="How many, by code.")


def tried(which: Selection, change: UnitChange | None) -> Response:
    """The answer to a dry run of a replay."""
    with unless_passing():
        sums = jobs.look(which, change, jobs.LOOKED_AT)
    is_complete = sums.messages >= sums.total
    detail = gettext("Nothing was changed: this is what would come of it.")
    if not is_complete:
        looked_at = grouped(sums.messages)
        detail = gettext("Nothing was changed: this is what would come of the first %s.") % looked_at
    said = sums._asdict() | {"looked_at": sums.messages, "is_complete": is_complete, "detail": detail}
    return Response(SumsSerializer(said).data)


def requested(request: Request, job: Job, messages: int) -> Response:
    """The answer where a job does the rest, with so many messages that wait."""
    dismisses = gettext("A job dismisses them, piece by piece.")
    detail = dismisses if job.kind == Job.Kind.DISMISS else gettext("A job replays them, piece by piece.")
    answer = {"detail": detail, "job": job.pk, "messages": messages}
    return Response(
        RequestedSerializer(answer).data,
        status=status.HTTP_202_ACCEPTED,
        headers={"Location": request.build_absolute_uri(reverse("job", args=[job.pk]))},
    )


class ReplayMany(APIView):
    permissions = {"POST": CHANGE}

    @extend_schema(
        summary="Replay all rejected messages that meet a selection",
        description="A job does it. A dry run says what would come of it, and changes nothing. Messages of"
        " which only the beginning was kept are left out.",
        request=ReplayManyBody,
        responses={
            200: SumsSerializer,
            202: RequestedSerializer,
            400: DetailSerializer,
            503: DetailSerializer,
        },
        operation_id="rejected_replay_many",
    )
    def post(self, request: Request) -> Response:
        said = ReplayManyBody.read(request)
        if said["dry_run"]:
            return tried(said["which"], unit_change(said))
        messages = said["which"].replayable().count()
        job = jobs.request(Job.Kind.REPLAY, said["which"], user_of(request), unit_change(said))
        return requested(request, job, messages)


class DismissMany(APIView):
    permissions = {"POST": CHANGE}

    @extend_schema(
        summary="Set all rejected messages aside that meet a selection",
        request=DismissManyBody,
        responses={202: RequestedSerializer, 400: DetailSerializer},
        operation_id="rejected_dismiss_many",
    )
    def post(self, request: Request) -> Response:
        said = DismissManyBody.read(request)
        messages = said["which"].waiting().count()
        job = jobs.request(Job.Kind.DISMISS, said["which"], user_of(request), reason=said["reason"])
        return requested(request, job, messages)


class Jobs(APIView):
    permissions = {"GET": VIEW}
    is_private = True

    @extend_schema(
        summary="Jobs on rejected messages, newest first",
        parameters=[PageQuery, LINK],
        responses={200: JobSerializer(many=True), 400: DetailSerializer},
        operation_id="jobs_list",
    )
    def get(self, request: Request) -> Response:
        query = PageQuery.read(request)
        return page_by_id(request, query, Job.objects.all(), JobSerializer, newest_first=True)


class OneJob(APIView):
    permissions = {"GET": VIEW, "DELETE": CHANGE}
    is_private = True

    @extend_schema(
        summary="How far a job has come",
        responses={200: JobSerializer, 404: DetailSerializer},
        operation_id="jobs_retrieve",
    )
    def get(self, request: Request, job_id: int) -> Response:
        take_none(request)
        return Response(JobSerializer(_job(job_id)).data)

    @extend_schema(
        summary="Stop a job",
        description="202: it stops after the piece that it is at. What it has done stays done, and it stays"
        " in `jobs/`.",
        responses={202: JobSerializer, 404: DetailSerializer, 409: DetailSerializer},
        operation_id="jobs_stop",
    )
    def delete(self, request: Request, job_id: int) -> Response:
        take_none(request)
        _job(job_id)
        if not jobs.request_stop(job_id):
            raise ConflictError(gettext("It is finished already: %s.") % Job.State(_job(job_id).state).label)
        return Response(JobSerializer(_job(job_id)).data, status=status.HTTP_202_ACCEPTED)


def _job(job_id: int) -> Job:
    """Raises NotFound; a number too large for a column is none."""
    job = Job.objects.filter(pk=job_id).first() if job_id <= MAX_SENSOR_ID else None
    if job is None:
        raise NotFound(_NONE)
    return job
