"""Rows out and in: years of measurements as CSV or NDJSON, to a browser, a file, another installation.

rows_out    a sensor's rows as lines, a chunk at a time
file_out    those of many sensors into a file, resumable
lines_in    a file's lines, each a row or a fault
rows_in     rows into the database, each once
bookmark    how far a file has come, beside it
"""
