"""sqlc's request to the intermediate representation of the generated package."""
