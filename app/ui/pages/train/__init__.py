"""The page that fits models to the user's own images."""
