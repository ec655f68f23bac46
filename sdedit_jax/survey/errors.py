"""The one error of a survey."""


class SurveyError(ValueError):
    """Pictures, a survey or answers that cannot be used; the message is one sentence that says why and what to do."""
