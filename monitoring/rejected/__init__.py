"""What becomes of rejected messages: the dead letters, and how they are replayed or set aside.

selection   which of them
replay      the ordinary way of ingest, once more and once: some messages, or as a trial
jobs        many, in pieces, with progress
groups      what waits, by code, sensor and topic
lobby       sensors that nobody has registered: approve, with what they sent, or block
dismissal   set aside, with a reason
"""
