"""Responses in gzip, for clients that accept it."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware


class Compression(GZipMiddleware):
    """Not of what streams: a chunk would be sent when the compressor is full, not when there is something.

    Up to 100 random bytes in each answer, which Django's has against BREACH, hide how well a guess at a
    secret compresses; the CSRF token is masked anew in each page besides.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return response if response.streaming else super().process_response(request, response)
