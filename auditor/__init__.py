"""MySQL against Redshift, row by row: the proof that both sides hold the same rows, or the rows that differ."""
