"""Commands that tests start end by Ctrl-C, also where whoever runs the tests ignores it (a job of a shell's)."""

import signal

import pytest


@pytest.fixture(autouse=True)
def interruptible():
    """A signal that is ignored stays so in processes that are started; one with a handler is as it is by default."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
