"""SQL that an administrator runs: the roles and their rights."""
