"""Decoding: frames are counted by decoding, shown upright, and a bad file is named."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lac.data import VideoError, read_video, write_video

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def shared(*parts):
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs the data file {'/'.join(parts)} in ../shared/data")
    return path


@pytest.fixture
def bands():
    """Twelve frames of 32 x 48; a bright band moves down, and the left side is red."""
    frames = np.zeros((12, 3, 32, 48), np.uint8)
    frames[:, 0, :, :16] = 200
    for t in range(12):
        frames[t, :, 2 * t : 2 * t + 8] = 240
    return frames


def test_what_is_written_is_read_back(tmp_path, bands):
    write_video(tmp_path / "a.mp4", bands, fps=20)
    video = read_video(tmp_path / "a.mp4")
    assert video.frames.shape == bands.shape and video.frames.dtype == np.uint8
    # H.264 halves the resolution of colour: edges differ, the mean hardly.
    assert np.abs(video.frames.astype(int) - bands).mean() < 6
    np.testing.assert_allclose(video.times, np.arange(12) / 20, atol=1e-6)


def test_the_same_frames_give_the_same_file(tmp_path, bands):
    noisy = np.random.default_rng(0).integers(0, 256, bands.shape, dtype=np.uint8)
    files, decoded = set(), set()
    for _ in range(10):
        write_video(tmp_path / "a.mp4", noisy)
        files.add((tmp_path / "a.mp4").read_bytes())
        decoded.add(read_video(tmp_path / "a.mp4", size=16).frames.tobytes())
    assert len(files) == len(decoded) == 1


def test_size_cuts_the_centre_out(tmp_path, bands):
    write_video(tmp_path / "a.mp4", bands)
    video = read_video(tmp_path / "a.mp4", size=16)
    assert video.frames.shape == (12, 3, 16, 16)
    red = video.frames[0, 0, -1].astype(int)  # 8 of 48 columns are cut off on either side
    assert (red[:3] > 120).all() and (red[5:] < 60).all()


def test_rotation_is_applied(tmp_path, bands):
    write_video(tmp_path / "plain.mp4", bands)
    with av.open(tmp_path / "turned.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "18"})
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        stream.set_display_rotation(90)
        for image in bands:
            picture = np.ascontiguousarray(image.transpose(1, 2, 0))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    plain, turned = (read_video(tmp_path / f"{name}.mp4").frames for name in ("plain", "turned"))
    assert turned.shape == (12, 3, 48, 32)
    upright = np.rot90(plain.astype(int), 1, axes=(2, 3))  # 90 degrees counter-clockwise
    assert np.abs(turned - upright).mean() < 6


def test_pixels_that_are_not_square_are_stretched(tmp_path, bands):
    with av.open(tmp_path / "a.mp4", "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = 2
        for image in bands:
            picture = np.ascontiguousarray(image.transpose(1, 2, 0))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    assert read_video(tmp_path / "a.mp4").frames.shape == (12, 3, 32, 96)
    assert read_video(tmp_path / "a.mp4", size=16).frames.shape == (12, 3, 16, 16)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"", "Invalid data"),
        (b"no video\n" * 400, "Invalid data"),
        ("truncated", "Invalid data"),
        ("sound", "no video stream"),
        ("frameless", "no video stream|empty video"),
    ],
)
def test_a_file_that_is_no_video_is_named(tmp_path, bands, content, reason):
    path = tmp_path / "bad.mp4"
    if content == "truncated":
        write_video(path, bands)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif content == "sound":
        with av.open(path, "w") as container:
            stream = container.add_stream("aac", rate=16000, layout="mono")
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            sound.sample_rate = 16000
            container.mux(stream.encode(sound))
            container.mux(stream.encode())
    elif content == "frameless":
        with av.open(path, "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
            container.start_encoding()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(VideoError, match=reason) as caught:
        read_video(path)
    assert str(path) in str(caught.value)


def test_frames_and_sizes_that_cannot_be_are_refused(tmp_path, bands):
    with pytest.raises(TypeError, match="`frames` must be uint8, got float64"):
        write_video(tmp_path / "a.mp4", bands / 255)
    for wrong in (bands[0], bands[:0], bands[..., :47]):
        with pytest.raises(ValueError, match=r"`frames` must be \(T, 3, H, W\)"):
            write_video(tmp_path / "a.mp4", wrong)
    with pytest.raises(ValueError, match="`size` must be >= 2 pixels, got 1"):
        read_video(tmp_path / "a.mp4", size=1)


def encode(path, frames, times, **metadata):
    """Write frames at given times, in ticks of 1/90000 s."""
    with av.open(path, "w") as container:
        container.metadata.update(metadata)
        stream = container.add_stream("libx264", rate=25, options={"g": "4"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[2:], "yuv420p"
        stream.codec_context.time_base = Fraction(1, 90000)
        for image, time in zip(frames, times, strict=True):
            picture = np.ascontiguousarray(image.transpose(1, 2, 0))
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = int(time), Fraction(1, 90000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_variable_frame_rate_gives_the_true_times(tmp_path, bands, suffix):
    gaps = np.array([1, 1, 5, 1, 2, 2, 30, 1, 1, 3, 1])
    times = np.concatenate([[0], np.cumsum(gaps)]) / 30
    encode(tmp_path / f"a.{suffix}", bands, np.rint(times * 90000))
    video = read_video(tmp_path / f"a.{suffix}")
    assert len(video.frames) == 12
    np.testing.assert_allclose(video.times, times, atol=1e-3)  # Matroska counts milliseconds


def test_metadata_in_another_encoding_does_no_harm(tmp_path, bands):
    path = tmp_path / "a.mkv"
    encode(path, bands, np.arange(12) * 3600, title="marmalade")
    assert b"marmalade" in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(b"marmalade", b"marmel\xe4de"[:9]))
    assert len(read_video(path).frames) == 12


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_a_damaged_file_is_refused_by_name_or_gives_the_frames_it_has(tmp_path, suffix):
    rng = np.random.default_rng(0)
    frames = np.kron(rng.integers(0, 256, (24, 3, 4, 6)), np.ones((8, 8))).astype(np.uint8)
    path = tmp_path / f"a.{suffix}"
    encode(path, frames, np.arange(24) * 3600)
    whole, intact = path.read_bytes(), read_video(path).frames
    refused = 0
    for _ in range(30):
        broken = bytearray(whole)
        for at in rng.integers(len(whole) // 4, len(whole), 6):
            broken[at] ^= int(rng.integers(1, 256))
        path.write_bytes(broken)
        try:
            assert len(read_video(path).frames) <= 24
        except VideoError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused >= 15
    kept = []
    for share in (0.3, 0.6, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        try:
            kept.append(read_video(path).frames)
        except VideoError as error:
            assert str(path) in str(error)
    for part in kept:  # what a file that was cut short gives is right but for the frame at the cut
        assert (part != intact[: len(part)]).any((1, 2, 3)).sum() <= 1


def test_a_lying_header_and_foreign_metadata_do_no_harm():
    folder = shared("hmdb51_wave")
    counts = {path.name[:8]: read_video(path, size=32) for path in sorted(folder.glob("*.avi"))}
    assert len(counts["hmdb51_T"].frames) == 83  # its header says 84
    for video in counts.values():  # the time stamps in these files go back and forth
        np.testing.assert_allclose(video.times, np.arange(len(video.frames)) / 30, atol=1e-9)


def test_the_best_of_several_streams_is_read():
    video = read_video(shared("decoder_checks", "nasa_13013.mp4"))
    assert video.frames.shape == (390, 3, 270, 480)
    np.testing.assert_allclose(np.diff(video.times), 1001 / 30000, atol=1e-6)


def test_cameras_of_one_performance_agree_in_number_and_time():
    folder = shared("pose2sim_multiview", "SinglePerson")
    videos = [read_video(path, size=32) for path in sorted(folder.glob("*.mp4"))]
    assert [video.frames.shape for video in videos] == [(100, 3, 32, 32)] * 4
    for video in videos:
        np.testing.assert_allclose(video.times, np.arange(100) / 60, atol=1e-6)


def test_other_containers_are_read():
    for path in sorted(shared("unlabelled_videos").glob("*.mkv"))[:5]:
        video = read_video(path, size=32)
        assert 47 <= len(video.frames) <= 109
        ticks = video.times * 30  # the recorder dropped a frame here and there
        assert (np.diff(video.times) > 0).all() and np.abs(ticks - ticks.round()).max() < 0.05
    assert read_video(shared("grid", "original", "bwbg8n.mpg"), size=32).frames.shape[0] == 75
