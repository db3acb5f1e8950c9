"""Settings of all tests."""

import signal

from hypothesis import settings

# on a busy machine an example may take any time
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# a shell that starts the tests behind itself (`&`) lets them and their processes ignore Ctrl-C
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
