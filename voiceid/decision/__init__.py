"""Decisions as pure functions: the rule that accepts, thresholds, calibration, adaptation."""
