"""How a project lies on disk: the SQLite index and journal, the lock, label and confidence files."""
