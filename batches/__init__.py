"""What waits between receiving and storing: batches of messages, in Redis, and how they are handed over.

The bridge and the API hand over, the workers claim and finish. Knows nothing of Django.
"""
