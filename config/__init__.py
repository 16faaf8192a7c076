"""The composition root: settings, Celery, URLs and the ASGI application."""

from config.celery import app as celery

__all__ = ["celery"]
