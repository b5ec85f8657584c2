"""Error messages in one line."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its type where the message is empty.

    Example:
        >>> first_line(ValueError("no such column")), first_line(MemoryError())
        ('no such column', 'MemoryError')
    """
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
