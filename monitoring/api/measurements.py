"""measurements/: read, newest first; or sent, into the same batches that the bridge fills."""

import hashlib
import time
from uuid import UUID

from celery import current_app
from django.utils.translation import gettext
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import UnsupportedMediaType, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from batches.batch import Batch, Message, time_ordered_id
from batches.dispatch import send_ingest
from batches.store import IdempotencyKeyReusedError, Receipt
from monitoring.api.errors import EncodedBodyError, TooLargeError, UnprocessableError
from monitoring.api.lists import list_measurements
from monitoring.api.pages import LINK
from monitoring.api.permissions import SEND
from monitoring.api.query import MeasurementsQuery, take_none
from monitoring.api.serializers import (
    AcceptedSerializer,
    DetailSerializer,
    MeasurementSerializer,
    RefusedSerializer,
)
from monitoring.decoders import MAX_PAYLOAD_BYTES, Refusal, decode
from monitoring.details import translated
from monitoring.store import batch_store

SOURCE = TOPIC = "http"
MAX_KEY_CHARS = 255
KEY_SECONDS = 24 * 3600
RETRY_SECONDS = 60
_READING = {
    "type": "object",
    "required": ["sensor_id", "value"],
    "properties": {
        "sensor_id": {"type": "integer", "minimum": 1},
        "value": {"type": "number"},
        "type": {
            "type": "string",
            "nullable": True,
            "description": "Must equal the sensor's kind where that is set.",
        },
        "unit": {
            "type": "string",
            "nullable": True,
            "description": "Must equal the sensor's unit where that is set.",
        },
        "ts": {
            "nullable": True,
            "oneOf": [{"type": "number"}, {"type": "string", "format": "date-time"}],
            "description": "When it was measured: Unix seconds, or RFC 3339 with an offset. Makes it"
            " exactly-once.",
        },
    },
}


class Measurements(APIView):
    permissions = {"GET": "monitoring.view_measurement", "POST": SEND}

    @extend_schema(
        summary="Measurements of all sensors, newest first",
        parameters=[MeasurementsQuery, LINK],
        responses=MeasurementSerializer(many=True),
        operation_id="measurements_list",
    )
    def get(self, request: Request) -> Response:
        return list_measurements(request)

    @extend_schema(
        summary="Send measurements",
        description="One reading or an array of them, at most 16 KiB. 202: held durably and on its way"
        " into the database; what its sensor then refuses is a rejected message.",
        request={"application/json": {"oneOf": [_READING, {"type": "array", "items": _READING}]}},
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                str,
                OpenApiParameter.HEADER,
                description="1 to 255 printable ASCII characters. A retry under the same key within 24 h"
                " changes nothing and gives the same batch; with another body it is a 422.",
            )
        ],
        examples=[
            OpenApiExample(
                "One reading",
                {"sensor_id": 3, "type": "light", "value": 2.57, "unit": "V"},
                request_only=True,
            )
        ],
        responses={
            202: AcceptedSerializer,
            400: RefusedSerializer,
            413: DetailSerializer,
            415: DetailSerializer,
            422: DetailSerializer,
            429: DetailSerializer,
            503: DetailSerializer,
        },
        operation_id="measurements_send",
    )
    def post(self, request: Request) -> Response:
        take_none(request)
        _require_json(request)
        key = _idempotency_key(request)
        body = _read_body(request)
        refusals = [item for item in decode(body) if isinstance(item, Refusal)]
        if refusals:
            return _refused(refusals)
        batch_id = _hand_over(body, key, str(request.user.pk))
        return Response({"batch": str(batch_id)}, status=status.HTTP_202_ACCEPTED)


def _require_json(request: Request) -> None:
    # The bytes go on as they came, so no parser of DRF's sees them and judges their type.
    if (request.content_type or "").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType(request.content_type or "")
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise EncodedBodyError


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= MAX_KEY_CHARS and key.isascii() and key.isprintable()):
        detail = gettext("Idempotency-Key must be 1 to %d printable ASCII characters.") % MAX_KEY_CHARS
        raise ValidationError({"detail": detail})
    return key


def _read_body(request: Request) -> bytes:
    """At most one byte more than is taken comes into memory. Raises TooLargeError."""
    detail = gettext("The body is too large: at most %d bytes are taken.") % MAX_PAYLOAD_BYTES
    length = request.headers.get("Content-Length", "")
    if length.isdecimal() and len(length) < 20 and int(length) > MAX_PAYLOAD_BYTES:
        raise TooLargeError(detail)
    body: bytes = request._request.read(MAX_PAYLOAD_BYTES + 1)
    if len(body) > MAX_PAYLOAD_BYTES:
        raise TooLargeError(detail)
    return body


def _refused(refusals: list[Refusal]) -> Response:
    errors = [
        {"index": one.index, "code": str(one.code), "detail": translated(one.detail)} for one in refusals
    ]
    detail = gettext("Nothing was taken: what errors lists must be mended first.")
    return Response({"detail": detail, "errors": errors}, status=status.HTTP_400_BAD_REQUEST)


def _hand_over(body: bytes, key: str | None, user_id: str) -> UUID:
    """Hands the body over; returns the id of the batch that stands: under an idempotency key that was used
    before, the first one's."""
    message = Message(time.time_ns() // 1000, TOPIC, body)
    batch = Batch(time_ordered_id(), SOURCE, [message])
    if key is None:
        receipt = Receipt(f"http:{batch.id}", "", RETRY_SECONDS)
    else:
        digest = hashlib.sha256(key.encode()).hexdigest()
        said = hashlib.sha256(body).hexdigest()
        receipt = Receipt(f"http:{user_id}:{digest}", said, KEY_SECONDS, once=True)
    try:
        standing, pending = batch_store().hand_over(batch, receipt)
    except IdempotencyKeyReusedError:
        raise UnprocessableError(gettext("This Idempotency-Key was used with another body before.")) from None
    if standing == batch.id:
        send_ingest(current_app, batch, pending)
    return standing
