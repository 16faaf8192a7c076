"""The live view, by publish and subscribe: from the workers' commits to the pages that are open.

channel     what workers publish in Redis, and web processes listen to
publish     in the workers: what was stored, at most ten times a second
ring        in web: the frames of the last minute
stream      in web: one viewer's, with a bound on what waits for it
listening   in web: the one subscription to what workers publish
hub         in web: a frame a second of it, for all viewers
topics      figures that are worked out once for all who watch them
figures     in web: those of them that somebody watches, read in a thread
events      how an event is written (text/event-stream)

monitoring/dashboard/live.py is the door: GET /live/. docs/live.md says what comes out of it.
"""
