"""What should exist, computed from specs. Pure: no client, no clock, no randomness."""
