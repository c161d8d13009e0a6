"""Errors, named for what the caller does next. The message names the thing and the fix; fields carry the details."""


class PipelineError(Exception):
    """Base of every error this project raises on purpose. `exit_code` is what a command returns when nobody handles it."""

    exit_code = 1

    def __init__(self, message: str, **fields: object) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields


class Unavailable(PipelineError):
    """A neighbour refused and nothing happened. Back off, retry."""


class OutcomeUnknown(PipelineError):
    """The request was sent and its answer lost. Ask the one who knows what happened; never resend."""


class Fenced(PipelineError):
    """A newer owner has taken this over. Stop, write nothing more."""


class Gone(PipelineError):
    """What we must read next no longer exists: purged binlog, expired offsets. Halt; a person picks the new start."""

    exit_code = 3


class Corrupt(PipelineError):
    """Bytes break a contract. Halt and keep the evidence: skipping a row loses it."""


class Invalid(PipelineError):
    """A bad setting, flag or server set-up. Nothing was touched; mend it and start again."""

    exit_code = 2


class Unfit(Invalid):
    """A table can't follow its source, and nothing is lost by leaving it: it can be read again. Park it, say so, go on with the others."""


class Refused(PipelineError):
    """Doing this could lose data and safety cannot be proven. Nothing was touched; a person decides."""

    exit_code = 3
