"""What a person can mend."""


class Problem(Exception):
    """Something that stops the work; the message is one line that names the remedy."""
