"""Roles and their rights, as SQL for an administrator: `agentrows.roles.grants`."""
