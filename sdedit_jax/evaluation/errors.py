"""What is said of an evaluation that cannot be made."""


class EvaluationError(ValueError):
    """An evaluation that cannot start or go on, with what to do about it."""
