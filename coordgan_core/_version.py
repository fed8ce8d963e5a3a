"""The one place that names the version of the application and of the library."""

__version__ = "0.1.0"
