"""Walks along references: down from a value, up to a holder, and what they meet on the way."""
