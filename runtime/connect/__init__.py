"""Verified, authenticated connections from settings; nothing about rows."""
