"""Video files and folders of pictures: read, written, and turned the right way up."""

from typing import TYPE_CHECKING

from lac._lazy import lazy_attributes

if TYPE_CHECKING:
    from lac.data.video.files import VideoError
    from lac.data.video.frames import resize
    from lac.data.video.reading import Video, read_video
    from lac.data.video.writing import write_video
else:
    __getattr__, __dir__ = lazy_attributes(
        __name__,
        {
            "files": ("VideoError",),
            "frames": ("resize",),
            "reading": ("Video", "read_video"),
            "writing": ("write_video",),
        },
    )

__all__ = ["Video", "VideoError", "read_video", "resize", "write_video"]
