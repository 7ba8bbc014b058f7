"""Checks that take long or need something besides: ``python -m checks`` names them."""
