"""The losses, each a small function or module of its own."""
