"""The pipeline's benchmark: MySQL to rows in the stand-in, with the services as the processes a person would start."""
