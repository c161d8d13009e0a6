"""Why a COPY failed: what the client is told, and the row the load error views keep."""

from devstack.redshift.refusal import SqlError

FRAME = "\n  -----------------------------------------------\n"


class LoadError(SqlError):
    """A COPY refused over its files. `code_number` is Redshift's (15001 a scan error, 15007 a schema that does not fit, 8001 the
    file list, 1213 a NULL). `missing`: the object is not there."""

    def __init__(
        self,
        reason: str,
        code_number: int,
        *,
        file: str = "",
        column: str = "",
        column_type: str = "",
        length: str = "",
        missing: bool = False,
    ) -> None:
        scan = code_number in (15001, 15007)
        context = f"{reason} File '{file}'" if file else reason
        detail = (
            f"{FRAME}  error:  {'Spectrum Scan Error' if scan else reason}\n  code:      {code_number}\n  context:   {context}\n"
            f"  query:     0\n  location:  stand-in\n  process:   stand-in [pid=0]{FRAME}"
        )
        super().__init__("Spectrum Scan Error" if scan else reason, "XX000", D=detail)
        self.reason = reason
        self.code_number = code_number
        self.file = file
        self.column = column
        self.column_type = column_type
        self.length = length
        self.missing = missing
