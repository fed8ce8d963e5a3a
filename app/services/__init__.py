"""Between domain and window: documents, jobs, the engine client (QtCore and QtGui only)."""
