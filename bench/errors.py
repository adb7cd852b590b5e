"""What stops a measurement."""


class BenchError(Exception):
    """Said in one sentence: what was awaited and what was seen."""


class OutOfTime(BenchError):
    """The whole run's time is over; what is not measured yet is reported as such."""
