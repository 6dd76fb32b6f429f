"""The words of the house as enumerations: the exact strings that stand in SQL, in JSON and on the screen."""

from enum import StrEnum


class ModelState(StrEnum):
    """Life of one version of a model. At most one version of a name is active."""

    CANDIDATE = "candidate"
    ACTIVE = "active"
    RETIRED = "retired"


class JobState(StrEnum):
    """Life of one submission of a folder against one model."""

    LISTING = "listing"  # items are still being written: no worker touches it
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    HELD = "held"  # scored and stored, but not to be believed without a look: then released (done) or discarded
    DISCARDED = "discarded"  # it was held, and a person said that its results say nothing about the parts
    CANCELLED = "cancelled"
    FAILED = "failed"  # something other than a picture is wrong: `error` says what, `retry` goes on


class BatchState(StrEnum):
    """Life of one unit of queue work."""

    WAITING = "waiting"
    LEASED = "leased"
    DONE = "done"
    SPLIT = "split"  # it failed too often: its items now stand in two smaller batches
    CANCELLED = "cancelled"


class ItemState(StrEnum):
    """Life of one picture in a job: `waiting`, then exactly one terminal state."""

    WAITING = "waiting"
    SCORED = "scored"
    UNREADABLE = "unreadable"
    QUARANTINED = "quarantined"
    CANCELLED = "cancelled"


class FitState(StrEnum):
    """Life of a fit that was asked for with `oddlot fit --queue`."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Verdict(StrEnum):
    """A person's word on an item."""

    DEFECT = "defect"
    GOOD = "good"
    UNSURE = "unsure"


class Runtime(StrEnum):
    """Which library runs a scoring network, and on what."""

    AUTO = "auto"
    OPENVINO = "openvino"
    TENSORFLOW = "tensorflow"
    GPU = "gpu"  # TensorFlow on a graphics card


class LogForm(StrEnum):
    """For whom services write their logs."""

    TEXT = "text"  # a person
    JSON = "json"  # a program: one object a line


class DeliveryKind(StrEnum):
    """A way on which the report of a finished job leaves the house."""

    FOLDER = "folder"
    EMAIL = "email"
    WEBHOOK = "webhook"


class Role(StrEnum):
    """What somebody may do on the review page and its interface; each may do what those before it may."""

    VIEWER = "viewer"
    REVIEWER = "reviewer"
    ADMIN = "admin"

    def covers(self, other: "Role") -> bool:
        """Whether whoever has this role may do what `other` may."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(other)


TERMINAL_ITEM_STATES = (ItemState.SCORED, ItemState.UNREADABLE, ItemState.QUARANTINED, ItemState.CANCELLED)
FINISHED_JOB_STATES = (JobState.DONE, JobState.HELD, JobState.DISCARDED, JobState.CANCELLED, JobState.FAILED)
DOUBTED_JOB_STATES = (JobState.HELD, JobState.DISCARDED)
"""Jobs whose results are not to be believed: nothing of them counts unless they are asked for by their number."""
OPEN_BATCH_STATES = (BatchState.WAITING, BatchState.LEASED)
