"""What Prometheus reads at /metrics: the books, what waits, how long it takes, who is at work."""
