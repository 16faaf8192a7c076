"""What Django's own checks should refuse before anything starts."""
