"""What `packaging/build.py` is made of. Needs nothing but Python and what the project itself needs."""
