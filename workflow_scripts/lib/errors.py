"""The errors that a user can do something about."""


class StudyError(Exception):
    """Something about the study that its user can mend; the message says what, where and what to do."""
