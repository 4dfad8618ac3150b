"""Label clips by others: ``python -m lac.label RUN VIDEOS_DIR``.

Those of whose phases `labels.json` in the folder tells label all others.
"""

from collections.abc import Sequence
from pathlib import Path

from lac._hints import program
from lac._loadable import require
from lac._progress import announced, progress
from lac.cli._console import plain_console
from lac.cli._errors import errors_in_one_line, interruptible
from lac.cli._parser import CommandParser, add_reading, add_run


def main(args: Sequence[str] | None = None) -> None:
    """Parse the command line, carry phases, write them, say what is to be looked at."""
    options = _parser().parse_args(args)
    with interruptible(), errors_in_one_line():
        require(options.run, options.checkpoint)
        from lac.data.folder import read_folder

        collection = read_folder(options.folder)
        marked = [clip for clip in collection.clips if clip.phase is not None]
        others = [clip for clip in collection.clips if clip.phase is None]
        if not marked or not others:
            raise ValueError(
                "`VIDEOS_DIR` must have clips with phases in labels.json and clips without, got"
                f" {len(marked)} and {len(others)} in {options.folder}"
            )
        with announced("Loading the network"):
            from lac._embedder import load

            embedder = load(options.run, checkpoint=options.checkpoint)
        from lac._embedding import embed_file
        from lac._labelling import Labelled, carry, spread
        from lac.data._label_writing import write_phases
        from lac.data._usable import count_frames

        every = options.every or embedder.every
        references = []
        for clip in progress(marked, "Embedding"):
            assert clip.phase is not None
            count_frames(clip)  # refuses labels of another number
            embeddings = embed_file(embedder, clip.path, every=every).embeddings
            references.append(Labelled(embeddings, clip.phase[::every]))
        names = collection.phase_names or ()
        phases, doubtful = {}, {}
        for clip in progress(others, "Labelling"):
            embeddings = embed_file(embedder, clip.path, every=every).embeddings
            carried = carry(references, embeddings, loss=embedder.loss)
            labels = spread(carried.labels, count_frames(clip), every=every)
            phases[clip.name] = [names[label] for label in labels]
            doubtful[clip.name] = float(carried.doubtful.mean())
        kept = write_phases(options.folder, phases, names, existing="keep")
    console = plain_console()
    for name, share in sorted(doubtful.items(), key=lambda one: -one[1]):
        console.print(f"{name}: {share:.0%} doubtful", soft_wrap=True)
    assert kept is not None  # it is where the labels of the others come from
    file = Path(options.folder) / "labels.json"
    console.print(
        f"{len(phases)} clips are labelled by {len(references)} in {file}; the old one is"
        f" {kept.name}.",
        soft_wrap=True,
    )


def _parser() -> CommandParser:
    """Return the options."""
    parser = CommandParser(
        program("label"),
        description="Carry the phases of the clips that labels.json of a folder tells of to all"
        " others.\nWhat it says already stays, and the old file is kept as labels-1.json.",
        examples=["lite0 my_videos", "runs/my_videos-1 my_videos --every 2"],
    )
    add_run(parser)
    parser.add_argument(
        "folder", type=Path, metavar="VIDEOS_DIR", help="folder of videos with labels.json"
    )
    add_reading(parser)
    return parser
