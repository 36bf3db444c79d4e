"""Generated annotations and the schema compared with a PostgreSQL server."""
