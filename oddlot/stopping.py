"""Being told to stop, by a signal, and going on until the work at hand is done."""

import os
import select
import signal


class Stop:
    """Notes the signals to stop from when it is made, in the main thread.

    Not an Event of threading: a handler that calls `set` while the main thread is about to leave `wait` waits for that
    thread, which is itself.
    """

    def __init__(self) -> None:
        self.asked = False
        self._told, self._tell = os.pipe()
        os.set_blocking(self._tell, False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, *_: object) -> None:
        if not self.asked:
            self.asked = True
            os.write(self._tell, b"x")

    def wait(self, seconds: float) -> None:
        """Return after so many seconds, or as soon as a signal came; at once where one had."""
        select.select([self._told], [], [], seconds)
