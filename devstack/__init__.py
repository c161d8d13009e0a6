"""The real stack on one machine without Docker: MySQL, Kafka, S3 and the Redshift stand-in. Development only, never shipped.

`python -m devstack up` starts it; `running_stack()` in `devstack.stack` gives it to a test and takes it down. Everything fetched lives
in a cache outside the repository, everything a stack writes in its own directory; nothing of the host is changed.
"""
