"""Several who are told of the same."""

from interactions.sink.ports import BatchWritten, Lag, Step, Telemetry


class Listeners:
    """Tells each.

    Args:
        listeners: Who is told, in order.
    """

    def __init__(self, *listeners: Telemetry) -> None:
        self._listeners = listeners

    def batch_written(self, record: BatchWritten) -> None:
        """Takes one batch."""
        for each in self._listeners:
            each.batch_written(record)

    def lag_measured(self, lag: Lag) -> None:
        """Takes one measurement."""
        for each in self._listeners:
            each.lag_measured(lag)

    def step_failed(self, step: Step) -> None:
        """Takes one failed attempt."""
        for each in self._listeners:
            each.step_failed(step)
