"""What holds for every layer."""

from hypothesis import settings

# How long an example takes says how busy the machine is, not whether the promise holds.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")
