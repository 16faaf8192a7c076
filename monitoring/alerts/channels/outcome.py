"""What came of an attempt to send."""


class NotSentError(Exception):
    """`why`: for people to read, in the installation's language, with no secret in it.

    `for_good`: a retry is of no use. `is_channels_fault`: so every message will fail, until somebody changes
    the channel's settings. `retry_after`: seconds to wait before a retry, where the receiver asks for that.
    """

    def __init__(
        self,
        why: str,
        *,
        for_good: bool = False,
        is_channels_fault: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(why)
        self.why = why
        self.for_good = for_good or is_channels_fault
        self.is_channels_fault = is_channels_fault
        self.retry_after = retry_after
