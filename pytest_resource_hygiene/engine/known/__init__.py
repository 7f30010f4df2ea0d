"""Leaks that somebody knows already: allowed, or in the baseline; and by what they are known again."""
