"""The application without a window: projects, label maps, edits, classes, search, review, formats.

No Qt, no PyTorch.
"""
