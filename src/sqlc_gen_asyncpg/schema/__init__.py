"""The schema: tables, enums, composite types, functions, views and type overrides."""
