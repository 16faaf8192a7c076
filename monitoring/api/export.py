"""sensors/<id>/measurements/export/: all of a sensor's measurements as a file, in flat memory."""

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any
from weakref import WeakSet

from django.core.handlers.asgi import ASGIRequest
from django.db import connection
from django.http import HttpResponseBase, StreamingHttpResponse
from django.utils.translation import gettext
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.views import APIView

from monitoring.api.errors import AwayError
from monitoring.api.query import SpanQuery
from monitoring.api.serializers import DetailSerializer
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.models import Sensor
from monitoring.transfer.formats import Format
from monitoring.transfer.rows_out import Selection, chunks
from monitoring.transfer.sheet import Sheet

# Each holds a thread and a connection to the database, for as long as its client takes.
MOST_AT_ONCE = 8


class ExportQuery(SpanQuery):
    """`?format=&from=&to=`: from is included, to is not."""

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        form = serializers.ChoiceField(
            choices=[(str(form), str(form)) for form in (*Format, *Sheet)],
            default=str(Format.CSV),
            help_text="`csv-fr`: as French Excel opens it, with `;` and a decimal comma.",
        )
        return {"format": form, "from": fields["from"], "to": fields["to"]}


class Export(APIView):
    permissions = {"GET": "monitoring.view_measurement"}

    @extend_schema(
        summary="One sensor's measurements as a file, oldest first",
        description="CSV with the header `sensor,created_at,received_at,value,unit`, or the same fields as"
        " an object a line (NDJSON). In a CSV a unit that a spreadsheet would run as a formula has a `'`"
        " before it. 503 where too many exports are under way.",
        parameters=[ExportQuery],
        responses={
            (200, "text/csv"): OpenApiResponse(str),
            (200, "application/x-ndjson"): OpenApiResponse(str),
            400: DetailSerializer,
            404: DetailSerializer,
            503: DetailSerializer,
        },
        operation_id="sensors_measurements_export",
    )
    def get(self, request: Request, sensor_id: int) -> HttpResponseBase:
        query = ExportQuery.read(request)
        if sensor_id > MAX_SENSOR_ID or not Sensor.objects.filter(pk=sensor_id).exists():
            raise NotFound(gettext("There is no sensor with this id."))
        form = _form(query["format"])
        headers = {
            "Content-Type": form.content_type,
            "Content-Disposition": f'attachment; filename="{_file_name(sensor_id, query, form)}"',
            "X-Accel-Buffering": "no",  # nginx would take all of it in before it passes any on
        }
        text = _text(Selection(sensor_id, query.get("from"), query.get("to")), form)
        if request.method == "HEAD":
            text = iter(())
        if not isinstance(request._request, ASGIRequest):
            return StreamingHttpResponse(text, headers=headers)
        if len(_under_way) >= MOST_AT_ONCE:
            raise AwayError(gettext("%d exports are under way already; try again later.") % MOST_AT_ONCE)
        return StreamingHttpResponse(_Stream(text), headers=headers)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        # `Accept: text/csv` is no reason to refuse: ?format= says what comes, and errors are JSON.
        return super().perform_content_negotiation(request, force=True)


def _form(name: str) -> Format | Sheet:
    return Sheet(name) if name in set(Sheet) else Format(name)


def _file_name(sensor_id: int, query: Mapping[str, Any], form: Format | Sheet) -> str:
    """sensor-3-2026-01-01-2026-02-01.csv; a bound that was not given is left out and the other named."""
    name = f"sensor-{sensor_id}"
    start: datetime | None = query.get("from")
    end: datetime | None = query.get("to")
    if start:
        name += f"-{start:%Y-%m-%d}" if end else f"-from-{start:%Y-%m-%d}"
    if end:
        name += f"-{end:%Y-%m-%d}" if start else f"-to-{end:%Y-%m-%d}"
    return f"{name}.{form.extension}"


def _text(selection: Selection, form: Format | Sheet) -> Iterator[bytes]:
    if form.header:
        yield form.header
    for chunk in chunks(selection, form):
        yield chunk.text


class _Stream:
    """An iterator over the database's rows as an async one: under ASGI Django would hold all of a plain
    one in memory.

    A thread of its own and its own connection; one chunk ahead of the client and never more. Whoever goes
    away ends it: Django calls close().
    """

    def __init__(self, text: Iterator[bytes]) -> None:
        self._text = text
        self._thread = ThreadPoolExecutor(1, "export")
        self._ahead: Future[bytes] | None = None
        self._closed = False
        _under_way.add(self)

    def __aiter__(self) -> "_Stream":
        return self

    async def __anext__(self) -> bytes:
        ahead = self._ahead or self._fetch()
        chunk = await asyncio.wrap_future(ahead)
        if not chunk:
            self.close()
            raise StopAsyncIteration
        if not self._closed:
            self._ahead = self._fetch()
        return chunk

    def _fetch(self) -> "Future[bytes]":
        return self._thread.submit(next, self._text, b"")

    def close(self) -> None:
        """Waits for nothing: the thread closes its connection once it is through with its chunk."""
        if not self._closed:
            self._closed = True
            _under_way.discard(self)
            self._thread.submit(_disconnect)
            self._thread.shutdown(wait=False)


def _disconnect() -> None:
    # `connection.close` would be looked up by whoever submits it, and so be that thread's connection.
    connection.close()


# Weak: one that Django never came to send, and so never closed, does not count for ever.
_under_way: WeakSet[_Stream] = WeakSet()
