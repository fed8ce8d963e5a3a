"""What the window asks for: documents, jobs, the engine, thumbnails, settings.

QtCore and QtGui only; no widgets, no PyTorch.
"""
