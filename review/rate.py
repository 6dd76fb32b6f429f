"""How often one address may ask. Counted in this process, which is what it protects: a count in SQL would cost a write
for every picture."""

import math
import time
from threading import Lock

_ADDRESSES = 10_000


class Rate:
    """So many requests a minute for each address, all of them at once if it likes."""

    def __init__(self, a_minute: int) -> None:
        self._most, self._seen = float(a_minute), dict[str, tuple[float, float]]()
        self._lock = Lock()

    def wait(self, address: str) -> int:
        """0 for a request that may come in, which is counted; else the seconds until one may."""
        if not self._most:
            return 0
        a_second, moment = self._most / 60, time.monotonic()
        with self._lock:
            left, at = self._seen.get(address, (self._most, moment))
            left = min(self._most, left + (moment - at) * a_second)
            if left < 1:
                return math.ceil((1 - left) / a_second)
            if len(self._seen) >= _ADDRESSES and address not in self._seen:
                self._seen.clear()  # somebody has many addresses: this is no defence against that
            self._seen[address] = left - 1, moment
        return 0
