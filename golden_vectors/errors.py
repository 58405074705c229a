"""The one error of this room."""


class WitnessError(ValueError):
    """Something that stops the witness before it can compare: one line, what, where, what to do."""
