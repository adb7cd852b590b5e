"""Decisions from what is observed and what is desired. Pure."""
