"""Settings of all tests."""

from hypothesis import settings

# on a busy machine an example may take any time
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
