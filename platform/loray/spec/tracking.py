"""The `tracking` block: where the numbers of a training go while it runs."""

from typing import Annotated

from pydantic import Field

from loray.spec.base import ImportPath, LocalFolder, StrictModel


class TrackingSpec(StrictModel):
    """Who else hears of a training's numbers while it runs; never fingerprinted."""

    tensorboard: LocalFolder | None = None
    """A folder for TensorBoard's event files, relative to where the command runs; each training
    has a folder of its own in it."""
    own: Annotated[ImportPath, Field(examples=["package.module:Class"])] | None = None
    """`package.module:Class`, a tracker of one's own; see `loray.train.trackers`."""

    @property
    def is_asked_for(self) -> bool:
        """Whether anything is to be told to anyone."""
        return self.tensorboard is not None or self.own is not None
