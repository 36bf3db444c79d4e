"""Types and nullability of a syntax tree against a schema."""
