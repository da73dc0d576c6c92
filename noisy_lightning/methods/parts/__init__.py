"""What methods are made of: networks, memories of samples, averages of weights, selections by loss, mixup."""
