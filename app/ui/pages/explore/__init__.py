"""The Explore tab: what a model has learned, shown on the user's own images."""
