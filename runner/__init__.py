"""Starts what `make run` and the tests need: real servers in a data folder, and the Procfile's processes.

Read in this order: bootstrap (before there is a .venv), guard (the process that `make` starts), supervisor
(the steps of `make run`), services/ (PostgreSQL, Redis, the MQTT broker), launch (how every child is born).
"""
