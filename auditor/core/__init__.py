"""The auditor's decisions: what a value is on either side, and which rows differ."""
