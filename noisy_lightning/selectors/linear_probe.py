"""Distrust the labels that a linear classifier of frozen features, trained on other samples, does not predict."""
