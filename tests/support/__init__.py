"""Helpers of several tests: small models, servers, Python in a separate process."""
