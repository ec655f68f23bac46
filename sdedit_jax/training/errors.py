"""What is said of training that cannot go on."""


class TrainingError(ValueError):
    """Training that cannot start or go on, with what to do about it."""
