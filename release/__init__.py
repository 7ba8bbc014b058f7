"""What makes the packages, and tries them out. Not in a wheel."""
