"""Generated packages, byte for byte; see golden_cases.py."""
