"""One store per query file: small classes over an executor, each usable alone."""
