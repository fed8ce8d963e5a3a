"""What the application is about, in plain Python: no Qt, no torch."""
