"""Errors that a user can meet. The text of each is one line: what is wrong, where, and what to do.

The command line prints that line and exits with 1; a traceback for an `OddlotError` is a bug.
"""


class OddlotError(Exception):
    """Base of all errors whose text is meant for a user."""


class SettingsError(OddlotError):
    """A setting has a value that cannot be used."""


class UnreadablePicture(OddlotError):  # noqa: N818 - the word of the house for the state it leads to
    """One file cannot be inspected; its text is the reason that is stored with the item.

    `sha256` is the hash of the bytes that were read, or None where none could be.
    """

    def __init__(self, reason: str, sha256: str | None = None) -> None:
        super().__init__(reason)
        self.sha256 = sha256


class TrainingError(OddlotError):
    """A model cannot be fitted on what was given."""


class CalibrationError(OddlotError):
    """A false-alarm rate was asked for that the calibration set cannot support."""


class BundleError(OddlotError):
    """A bundle is damaged, incomplete, or not what the database says it is."""


class DatabaseError(OddlotError):
    """The database cannot be reached or is of another version than this program."""


class NotFoundError(OddlotError):
    """The model, job or item that was named does not exist."""


class UnstorableValue(OddlotError):  # noqa: N818 - what was given, not a fault of the program
    """A number or a text that no database stores or looks up."""


class StateError(OddlotError):
    """What was asked for is not possible in the state that the job or the model is in."""


class LateResult(OddlotError):  # noqa: N818 - names the event, not a fault of the caller
    """A batch was finished by somebody who no longer held its lease; the results were refused."""


class BrokerError(OddlotError):
    """The queue cannot be reached or started."""


class StoreError(OddlotError):
    """The object store does not answer, or lets nobody in: no picture, and no bundle, is at fault."""


class ObjectTrouble(OddlotError):  # noqa: N818 - a reason for one object, as UnreadablePicture is for one picture
    """One object cannot be had, whatever the store does for others; `missing`: it is not there."""

    def __init__(self, reason: str, *, missing: bool = False) -> None:
        super().__init__(reason)
        self.missing = missing
