"""Builds the packages and tries them out. Not part of a wheel."""
