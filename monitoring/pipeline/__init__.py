"""The state of the pipeline, for the page, the metrics and the live stream: what came in and what became of
it, minute by minute; the backlog and its age; and who is at work.

    picture.look(hours=3, ...) what was received, stored, a duplicate, rejected, in steps of time; latencies
    state.read(store)          pending, missing, the processes
"""
