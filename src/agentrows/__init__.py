"""Agent rows."""
