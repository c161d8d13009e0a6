"""Real clients that fit the auditor's ports."""
