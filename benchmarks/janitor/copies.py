"""COPY by manifest, alone in a bucket and among orphans."""

import io
import time
from statistics import median

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.janitor.lake import BUCKET, PREFIX, Lake
from benchmarks.servers import Say
from contracts.batch import Manifest, ManifestEntry
from devstack.stack import Stack

ROWS = 100_000


def measure(stack: Stack, orphans: int, runs: int, say: Say) -> tuple[float, float]:
    """Milliseconds of the same COPY without and with so many attempts' objects beside what it reads: medians."""
    client = stack.s3.client()
    client.create_bucket(Bucket=BUCKET)
    lake = Lake(orphans + 101)
    key = lake.key(orphans + 100)
    data = io.BytesIO()
    pq.write_table(pa.table({"id": pa.array(range(ROWS), pa.int64())}), data)
    url = f"s3://{BUCKET}/{PREFIX}"
    client.put_object(Bucket=BUCKET, Key=f"{PREFIX}/{key.data}", Body=data.getvalue())
    manifest = Manifest((ManifestEntry(f"{url}/{key.data}", len(data.getvalue())),)).encode()
    client.put_object(Bucket=BUCKET, Key=f"{PREFIX}/{key.manifest}", Body=manifest)
    with stack.redshift.connect(ssl=False) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE copied (id BIGINT)")

        def copy() -> float:
            cursor.execute("DELETE FROM copied")
            began = time.monotonic()
            cursor.execute(f"COPY copied FROM '{url}/{key.manifest}' IAM_ROLE default FORMAT AS PARQUET MANIFEST")
            return (time.monotonic() - began) * 1000

        copy()
        alone = [copy() for _ in range(5 * runs)]
        say(f"  putting {2 * orphans:,} objects beside it")
        for number in range(orphans):
            for name in (lake.key(number).data, lake.key(number).manifest):
                client.put_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}", Body=b"PAR1")
        among = [copy() for _ in range(5 * runs)]
        cursor.execute("SELECT COUNT(*) FROM copied")
        assert cursor.fetchone()[0] == ROWS
    return median(alone), median(among)
