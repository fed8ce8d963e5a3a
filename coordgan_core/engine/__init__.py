"""The engine: a worker process that a window talks to."""
