"""A person's desk: the list of orders as one wants it, and work over many of them at once."""
