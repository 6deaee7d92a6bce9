"""Conduit: accounts, posts, users and files, spoken to by its client API."""
