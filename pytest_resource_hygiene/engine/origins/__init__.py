"""Where something was made: records of creation read, and whose code a file is."""
