"""What a query means as far as types go, found without a server in half a millisecond."""
