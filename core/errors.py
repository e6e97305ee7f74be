"""Errors shown to a user: each names the input, the place, what was expected and what to do."""


class WorkbenchError(Exception):
    """A user's mistake or an unusable input. The faces print its text and nothing else."""


class InputError(WorkbenchError):
    """A log, labelled file or capture that cannot be read as asked."""


class BundleError(WorkbenchError):
    """A saved detector that is missing, damaged or of another format."""


class StoreError(WorkbenchError):
    """The user's data folder cannot be read or written."""


class JobCancelled(WorkbenchError):
    """Raised inside long work when somebody asked it to stop."""
