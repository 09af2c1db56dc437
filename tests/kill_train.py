"""The program of test_cli_kill.py: `cnnx WORDS...`, which kills itself before an event.

    python kill_train.py EVENT NUMBER WORDS...

Events are "step" (of the optimiser), "fsync" (a file was written under a temporary name), "replace
NAME" (it is about to get its name), and "any". NUMBER counts them from 1; with 0 nothing is killed,
and all events are printed at the end.
"""

from __future__ import annotations

import os
import signal
import sys

sys.modules["matplotlib"] = None  # pictures take longer than the training, and have no state

import cnnx  # noqa: E402
from cnnx.cli import main  # noqa: E402


class Events:
    """Counts events, and kills the process before one of them."""

    def __init__(self, event, number):
        self.event, self.number, self.names = event, number, []

    def before(self, name):
        self.names.append(name)
        counted = len(self.names) if self.event == "any" else self.names.count(self.event)
        if counted == self.number and self.event in ("any", name):
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, owner, attribute, name):
        """Report each call of a function, named `name(*arguments)`."""
        original = getattr(owner, attribute)

        def watched(*arguments):
            self.before(name(*arguments))
            return original(*arguments)

        setattr(owner, attribute, watched)


if __name__ == "__main__":
    events = Events(sys.argv[1], int(sys.argv[2]))
    events.watch(cnnx.Adam, "step", lambda optimizer: "step")
    events.watch(os, "fsync", lambda file: "fsync")
    events.watch(os, "replace", lambda old, new: f"replace {os.path.basename(new)}")
    code = main(sys.argv[3:])
    print("\n".join(["events", *events.names]))
    sys.exit(code)
