"""The backlog between receiving and storing: batches of messages in Redis, and how they are handed over.

The bridge and the API are its producers, the workers its consumers. Knows nothing of Django.
"""
