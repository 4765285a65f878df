"""Maps: where teacher and student disagree, one equation a file."""
