"""Connections: opening them, what they carry, and the one place where statements run."""
