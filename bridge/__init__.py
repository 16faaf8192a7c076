"""Receives MQTT messages and hands them over to Redis, in batches, before it acknowledges them.

Knows nothing of Django: a small process that must never be the one that fails.
"""
