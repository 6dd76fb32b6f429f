"""The blind audit: which unflagged items a person is shown all the same, so that the miss rate gets an estimate."""

from datetime import UTC
from hashlib import blake2b

from db.batches import Claim


class AuditDraw:
    """Draws each unflagged item of a job with the same probability `share`, in [0, 1], independent of all others.

    `share` is such that a job of which nothing is flagged has `wanted` drawn on average. A batch that is executed again
    draws the same items: the draw is a hash of the item's number. Its key is the microsecond in which the job was
    created, which nobody can foresee who names the files or puts them into the folder.
    """

    def __init__(self, claim: Claim, wanted: int) -> None:
        self.share = min(1.0, wanted / claim.listed) if claim.listed else 0.0
        self._key = f"{claim.job_id} {claim.created_at.astimezone(UTC).isoformat()}".encode()

    def draws(self, item_id: int) -> bool:
        """Whether the item is drawn, if it is not flagged."""
        digest = blake2b(str(item_id).encode(), key=self._key, digest_size=8).digest()
        return int.from_bytes(digest, "big") < self.share * 2**64
