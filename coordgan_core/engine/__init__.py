"""The worker process behind the window: messages (`protocol`), the loop that answers them (`server`)."""
