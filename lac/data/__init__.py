"""Where clips come from, how two views of a clip are drawn, and how they are batched."""

from typing import TYPE_CHECKING

from lac._lazy import lazy_attributes

if TYPE_CHECKING:
    from lac.data.augment import Augmentation
    from lac.data.clip import Clip, Collection
    from lac.data.datamodule import ClipDataModule
    from lac.data.extracted import FrozenExtractor
    from lac.data.features import read_features
    from lac.data.folder import read_folder
    from lac.data.sources import read_source
    from lac.data.synthetic import Rendered, render
    from lac.data.video import Video, VideoError, read_video, resize, write_video
    from lac.data.views import TwoViews
else:
    __getattr__, __dir__ = lazy_attributes(
        __name__,
        {
            "clip": ("Clip", "Collection"),
            "video": ("Video", "VideoError", "read_video", "resize", "write_video"),
            "augment": ("Augmentation",),
            "features": ("read_features",),
            "folder": ("read_folder",),
            "datamodule": ("ClipDataModule",),
            "extracted": ("FrozenExtractor",),
            "synthetic": ("Rendered", "render"),
            "sources": ("read_source",),
            "views": ("TwoViews",),
        },
    )

__all__ = [
    "Augmentation",
    "Clip",
    "ClipDataModule",
    "Collection",
    "FrozenExtractor",
    "Rendered",
    "TwoViews",
    "Video",
    "VideoError",
    "read_features",
    "read_folder",
    "read_source",
    "read_video",
    "render",
    "resize",
    "write_video",
]
