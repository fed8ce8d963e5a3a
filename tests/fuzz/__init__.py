"""Hostile and odd input: damaged files by the thousand; each must be read, or refused with a clear error."""
