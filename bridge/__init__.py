"""An MQTT consumer at QoS 1: hands messages over to Redis, in batches, before it acknowledges them.

So it delivers at least once, and deduplicates what the broker redelivers. Knows nothing of Django: a small
process that must never be the one that fails.
"""
