"""Generated packages, byte for byte; see cases.py."""
