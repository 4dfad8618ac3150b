"""Video files and folders of pictures: read, written, and turned the right way up."""

from typing import TYPE_CHECKING

from lac._lazy import lazy_attributes

if TYPE_CHECKING:
    from lac.data.video.reading import Video, VideoError, read_video, resize, write_video
else:
    __getattr__, __dir__ = lazy_attributes(
        __name__, {"reading": ("Video", "VideoError", "read_video", "resize", "write_video")}
    )

__all__ = ["Video", "VideoError", "read_video", "resize", "write_video"]
