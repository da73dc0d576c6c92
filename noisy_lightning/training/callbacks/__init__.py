"""Observation and housekeeping around a training."""
