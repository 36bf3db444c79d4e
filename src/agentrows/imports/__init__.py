"""Copies of other stores' rows, for `agentrows import`."""
