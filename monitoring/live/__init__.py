"""What is stored, shown while it comes: from the workers' commits to the pages that are open.

channel     what workers publish in Redis, and web processes listen to
publish     in the workers: what was stored, at most ten times a second
ring        in web: the frames of the last minute
stream      in web: one viewer's, with a bound on what waits for it
hub         in web: one subscription for all viewers, a frame a second
topics      figures that are worked out once for all who watch them
events      how an event is written (text/event-stream)

monitoring/dashboard/live.py is the door: GET /live/. docs/live.md says what comes out of it.
"""
