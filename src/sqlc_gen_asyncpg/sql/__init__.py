"""SQL text to a syntax tree, without knowledge of any schema."""
