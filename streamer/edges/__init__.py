"""The real clients behind the streamer's ports."""
