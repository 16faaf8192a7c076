"""Keyset pagination: a page costs what it returns, and rows that arrive meanwhile shift nothing."""

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from batches.batch import to_datetime

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_POSITION = struct.Struct(">qq")


class Cursor(NamedTuple):
    """The key of the last row of the page before. Lists by id alone leave `created_at` at 1970."""

    created_at: datetime
    id: int

    def encode(self) -> str:
        """base64url of microseconds since 1970 and the id, 8 bytes each."""
        microseconds = (self.created_at - _EPOCH) // timedelta(microseconds=1)
        return urlsafe_b64encode(_POSITION.pack(microseconds, self.id)).rstrip(b"=").decode()

    @classmethod
    def by_id(cls, identity: int) -> "Cursor":
        return cls(_EPOCH, identity)

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """Raises ValueError for what encode() never made."""
        try:
            microseconds, identity = _POSITION.unpack(urlsafe_b64decode(text + "=="))
            cursor = cls(to_datetime(microseconds), identity)
        except (ValueError, OverflowError, struct.error) as error:
            raise ValueError("is not a cursor") from error
        if cursor.encode() != text:
            raise ValueError("is not a cursor")
        return cursor


LINK = OpenApiParameter(
    "Link", str, OpenApiParameter.HEADER, response=[200], description='`<address>; rel="next"`, if any.'
)


def next_link(request: Request, cursor: Cursor) -> str:
    """RFC 8288: the same address with another cursor."""
    params = request.query_params.dict() | {"cursor": cursor.encode()}
    return f'<{request.build_absolute_uri(request.path)}?{urlencode(params)}>; rel="next"'


def page(request: Request, rows: Sequence[Any], limit: int, shown: Mapping[str, Any]) -> Response:
    """The answer for `rows`, of which one more than `limit` was asked for.

    `shown`: the serializer to show them with, and what makes a row's cursor.
    """
    serializer, cursor_of = shown["serializer"], shown["cursor"]
    response = Response(serializer(rows[:limit], many=True).data)
    if len(rows) > limit:
        response["Link"] = next_link(request, cursor_of(rows[limit - 1]))
    return response


def page_by_id(
    request: Request,
    query: Mapping[str, Any],
    rows: QuerySet[Any],
    serializer: Any,
    newest_first: bool = False,
) -> Response:
    """The answer for `rows` in the order of their ids, from the cursor of `query` on (PageQuery)."""
    rows = rows.order_by("-pk" if newest_first else "pk")
    if cursor := query.get("cursor"):
        rows = rows.filter(**{"pk__lt" if newest_first else "pk__gt": cursor.id})
    limit = query["limit"]
    shown = {"serializer": serializer, "cursor": lambda row: Cursor.by_id(row.pk)}
    return page(request, list(rows[: limit + 1]), limit, shown)
