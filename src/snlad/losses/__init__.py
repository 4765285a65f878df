"""Losses: what the student is asked to learn, one equation a file."""
