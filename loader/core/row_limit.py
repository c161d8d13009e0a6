"""What COPY takes of a whole row, and which values give way where a row is more.

Source: Redshift guide, "Data sources" of COPY: "The maximum size of a single input row from any source is 4 MB".
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

ROW_BYTES_MAX = 4_000_000
"""The smaller reading: the guide says neither whether its MB are of 1000 or of 1024, nor how a row of Parquet is counted. Here its values
are, as they are once unpacked."""

RECORD_BYTES_UNSEEN = ROW_BYTES_MAX - (64 << 10)
"""A record of no more bytes, key and value, holds no row over the limit, so that nobody need look. Text and bytes take no fewer bytes in an
envelope (UTF-8 with escapes, base64) than in a row; a fixed width may take more in the row, at most the 16 bytes of a DECIMAL whose column
was dropped at the source, in each of the 1,600 columns that Redshift allows."""


def varies(kind: pa.DataType) -> bool:
    return kind in (pa.string(), pa.binary())


def value_sizes(arrays: Sequence[pa.Array], index: int) -> list[int]:
    """Bytes of each value of one row. What has a fixed width takes it also as NULL."""
    return [(pc.binary_length(array[index]).as_py() or 0) if varies(array.type) else (array.type.bit_width + 7) // 8 for array in arrays]


def giving_way(sizes: Sequence[int], may_be_null: Sequence[int]) -> list[int] | None:
    """Places of the values without which a row of these sizes fits: no more than it takes, the largest first. None where it does not fit
    without all that may be NULL."""
    left, places = sum(sizes), list[int]()
    for place in sorted(may_be_null, key=lambda place: -sizes[place]):
        if left <= ROW_BYTES_MAX:
            break
        left -= sizes[place]
        places.append(place)
    return places if left <= ROW_BYTES_MAX else None
