"""Pictures of samples and of experiments: pure functions from arrays to matplotlib figures."""
