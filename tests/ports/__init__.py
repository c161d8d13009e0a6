"""One behaviour suite a port, run on its fake and, marked `stack`, on its real edge: what passes on both makes the fake evidence."""
