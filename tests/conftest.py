"""What every test stands on."""

from __future__ import annotations

import signal

# A shell that starts something in the background has it ignore Ctrl-C, and so do all its children: those that tests
# interrupt would not hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
