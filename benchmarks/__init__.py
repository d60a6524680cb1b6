"""ocelake against its peers, in one run."""
