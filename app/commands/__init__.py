"""The verbs of the command line; each module has ``register(app)`` and loads what is heavy late."""
