"""Wrong use of the package, and the error that each has to end in."""
