"""What Prometheus scrapes at /metrics: the books, the backlog, latencies, who is at work."""
