"""Whose a thing is that a test or fixture has left: a rule a file, and the order of the rules.

What a live wider fixture keeps is its own, whoever was at work meanwhile. Each rule hands over what it
knows to be somebody else's, and returns the rest.
"""
