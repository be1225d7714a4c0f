"""The exceptions of Syncytium: each says what happened, with which value, and how to mend it.

SyncytiumError
├── InputError          a site's file, or a value in it, cannot be used
│   ├── CountsError     the matrix is not counts and cannot be turned back into counts
│   └── GeneError       genes are duplicated, not shared, or of another naming scheme
├── ConfigError         a run-config or node-config key or value is wrong
├── DiskError           a file of the site's own cannot be written
├── DeviceError         the compute device asked for is absent or out of memory
├── WireError           a field tried to leave a site that common/wire.py does not list
├── RingError           a value does not fit the agreed fixed-point range
├── UpdateError         a site's part of a round is not finite; the round does not count
├── SecureSumError      a sum cannot be opened (too few sites, mismatched uploads)
├── PolicyError         a site's own policy forbids what the coordinator asks; names the rule
│   └── BudgetError     a release would cost more privacy than is left
├── SiteFailure         one or more sites answered with an error or not at all
│   └── SiteLost        not at all, and the run waits for them
└── RunError            the run as a whole failed (its folder, its SuperLink, its exit status)
"""

import os
from pathlib import Path


class SyncytiumError(Exception):
    """Base class.

    Parameters
    ----------
    message
        What happened, the value, and the mend. Shown at the site; may hold values of its data.
    public
        The same without any value from the data: the only form in which an error leaves a real
        site. Defaults to the class's generic sentence.
    """

    generic = "The site refused; its own log has the reason."

    def __init__(self, message: str, *, public: str | None = None):
        super().__init__(message)
        self.public = public or self.generic


class InputError(SyncytiumError):
    generic = "The site's file cannot be used as it is; `syncytium check` there says why."


class CountsError(InputError):
    generic = (
        "The site's matrix is not counts and cannot be turned back; "
        "`syncytium check` there says why."
    )


class GeneError(InputError):
    generic = "The site's genes do not fit the agreed vocabulary; `syncytium check` says why."


class ConfigError(SyncytiumError):
    generic = "The site's node-config is wrong; its own log has the key."


class DiskError(SyncytiumError):
    """A file of the site's own cannot be written: no room, or not allowed.

    Parameters
    ----------
    path
        The file or its folder.
    error
        What the operating system says.
    mend
        What to do.
    """

    def __init__(
        self,
        path: Path | str,
        error: OSError,
        mend: str = "make room or set output-dir to another folder, then --resume",
    ):
        self.path, self.error = path, error
        # HDF5's text has the path in it.
        why = os.strerror(error.errno) if error.errno else "HDF5 failed"
        super().__init__(
            f"{path} cannot be written: {error.strerror or error}; {mend}",
            public=f"a file of the site's own cannot be written there: {why}; {mend}",
        )


class DeviceError(SyncytiumError):
    generic = "The site's compute device is absent or out of memory; set `device` in node-config."


class WireError(SyncytiumError):
    generic = "The site stopped a field that is not declared to leave it."


class RingError(SyncytiumError):
    generic = "A value at the site lies outside the agreed fixed-point range."


class UpdateError(SyncytiumError):
    def __init__(self, message: str):
        # Of names in the network and settings of the run: nothing of the site's data.
        super().__init__(message, public=message)


class SecureSumError(SyncytiumError):
    def __init__(self, message: str):
        # Of keys, sites and numbers of sums: nothing of the site's data.
        super().__init__(message, public=message)


class PolicyError(SyncytiumError):
    def __init__(self, message: str, *, public: str | None = None):
        # It names a rule and what the coordinator asked.
        super().__init__(message, public=public or message)


class BudgetError(PolicyError):
    pass


class SiteFailure(SyncytiumError):
    generic = "A site failed."


class SiteLost(SiteFailure):
    generic = "A site was lost."


class RunError(SyncytiumError):
    generic = "The run failed."
