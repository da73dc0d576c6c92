"""What methods are made of: memories of samples, averages of networks, selections by loss, mixtures."""
