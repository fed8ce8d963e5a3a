"""Images on disk to tensors: reading, sampling, augmenting, known data sets and the synthetic category."""
