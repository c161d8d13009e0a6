"""The janitor looks back over S3 with the ledger in hand: what interrupted loads left there is listed with its proof, and removed.

Nothing is deleted because it is old. An attempt is an orphan when the ledger doesn't hold it and the fence's compare-and-set can never let
it in any more; age and pattern only choose among what is proven. Objects of committed batches go by their own rules: `clean` and
`s3.keep_committed_seconds`.
"""
