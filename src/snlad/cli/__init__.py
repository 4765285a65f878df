"""Command line: one short file a verb; heavy imports inside the verb."""
