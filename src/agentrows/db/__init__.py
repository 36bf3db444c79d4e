"""Connections, the pool, transactions, and the executor that runs every statement."""
