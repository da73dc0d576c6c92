"""Observation and housekeeping around a training run."""
