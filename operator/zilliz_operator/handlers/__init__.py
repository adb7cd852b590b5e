"""Kopf: settings, login session, one short handler a kind, wake-ups, probes, metrics, leader lease."""
