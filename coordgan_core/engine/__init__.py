"""The worker process behind the window: typed messages (`protocol`), the loop that answers them (`server`)."""
