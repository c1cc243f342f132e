"""The one error of this package."""


class LocalServerError(Exception):
    """A local server cannot be had or does not start.

    The machine's fault or its set-up's; the text says what is missing and how to get it.
    """
