"""Binlog to Kafka.

Reads MySQL's binlog as a replica does and writes every row change of the chosen tables to Kafka, once and in order, as an envelope:
rows, barrier and resume position in one Kafka transaction. Whatever it cannot decode exactly stops it, with the evidence named;
nothing is skipped, guessed or rounded.
"""
