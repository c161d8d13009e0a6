"""`make demo`: the whole pipeline on real servers, with a crash in the middle, in under a minute."""
