"""The real stack on one machine without Docker: MySQL, Kafka, S3 and the Redshift stand-in. For development and tests only, never shipped.

`python -m devstack up` starts it, `running_stack()` in `devstack.stack` gives it to a test and takes it down again. Everything fetched lives
in a cache outside the repository; everything a stack writes lives in its own directory; nothing of the host is changed.
"""
