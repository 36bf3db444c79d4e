"""The intermediate representation to Python source."""
