"""Faults on purpose: processes killed at random instants, and proof that nothing acknowledged was lost."""
