"""What can go wrong in a stage, as one sentence, a hint and an exit code that says whether a retry can help.
It must not import anything of this package, and must not print or exit."""

from __future__ import annotations

import enum
import errno


class Exit(enum.IntEnum):
    """Exit codes of a stage (after sysexits.h). The Job gives up at once on 65, 66, 67, 77 and 78."""

    OK = 0
    CRASH = 1
    DATA_ERROR = 65
    BUCKET_NOT_FOUND = 66
    DATA_CHANGED = 67
    DISK_FULL = 74
    UNAVAILABLE = 75
    PERMISSION_DENIED = 77
    CONFIG_ERROR = 78
    TERMINATED = 143


REASONS = {
    Exit.CRASH: "Crashed",
    Exit.DATA_ERROR: "DataError",
    Exit.BUCKET_NOT_FOUND: "BucketNotFound",
    Exit.DATA_CHANGED: "DataChanged",
    Exit.DISK_FULL: "DiskFull",
    Exit.UNAVAILABLE: "Unavailable",
    Exit.PERMISSION_DENIED: "PermissionDenied",
    Exit.CONFIG_ERROR: "ConfigError",
    Exit.TERMINATED: "Terminated",
}


DISK_HINT = "make room where the workspace lies, or give the pod a larger volume, then run again: what is done is kept"
RIGHTS_HINT = "give the trainer's account the rights that deploy/gcp/identity.tf lists for it"


class StageError(Exception):
    """A failure that a person can act on: `code` is the exit code, `hint` says what to do next."""

    def __init__(self, code: Exit, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    @property
    def reason(self) -> str:
        """CamelCase word for the run's condition."""
        return REASONS[self.code]


def data_error(message: str, hint: str) -> StageError:
    """The photographs can't be used as they are (exit 65)."""
    return StageError(Exit.DATA_ERROR, message, hint)


def config_error(message: str, hint: str) -> StageError:
    """A setting or parameter is wrong (exit 78)."""
    return StageError(Exit.CONFIG_ERROR, message, hint)


def disk_full(error: BaseException) -> StageError | None:
    """The StageError (exit 74) for an exception that means a full disk, or None."""
    if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return None
    where = f" for {error.filename}" if error.filename else ""
    return StageError(Exit.DISK_FULL, f"the disk is full: no space left{where}", DISK_HINT)
