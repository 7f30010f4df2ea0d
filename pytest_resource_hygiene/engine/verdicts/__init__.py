"""A leak, a note, or nothing: the judge and those it asks."""
