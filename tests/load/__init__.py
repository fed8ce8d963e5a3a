"""Load: many images, classes, pixels and steps, and long use, within memory that does not grow."""
