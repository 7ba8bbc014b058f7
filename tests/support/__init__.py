"""What several tests need: small models, servers, Python in a process of its own."""
