"""Training: stages, run folder, checkpoints, events."""
