"""Decoding: frames are counted by decoding, shown upright, and a bad file is named."""

import struct
import warnings
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lac.data import VideoError, read_video, resize, write_video
from lac.data.video.frames import upright_rgb
from lac.data.video.pictures import picture_files, read_pictures
from lac.data.video.writing import encode as encode_video

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


# Display matrices by EXIF's number of the same orientation, which tells the sides at which the
# first row and the first column are to be seen: 1 top, left; 2 top, right; 3 bottom, right;
# 4 bottom, left; 5 left, top; 6 right, top; 7 right, bottom; 8 left, bottom.
ORIENTATIONS = {
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}


def shown(frames, matrix):
    """Take pixel (x, y) to (a x + c y, b x + d y), as a display matrix says."""
    a, b, c, d = matrix
    y, x = np.indices(frames.shape[2:])
    across, down = a * x + c * y, b * x + d * y
    across, down = across - across.min(), down - down.min()
    result = np.empty((*frames.shape[:2], down.max() + 1, across.max() + 1), frames.dtype)
    result[..., down, across] = frames
    return result


def with_matrix(file, matrix):
    """Return the bytes of an MP4 file with another display matrix in its track header."""
    a, b, c, d = (round(65536 * value) for value in matrix)
    at = file.index(b"tkhd") + 44
    return file[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + file[at + 36 :]


def with_exif(file, number):
    """Return the bytes of a JPEG file with an EXIF tag for its orientation."""
    tag = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x112, 3, 1, number, 0, 0)
    return file[:2] + b"\xff\xe1" + struct.pack(">H", len(tag) + 2) + tag + file[2:]


@pytest.mark.parametrize("matrix", ORIENTATIONS.values(), ids=str)
def test_every_orientation_of_a_video_is_applied_exactly(tmp_path, bands, matrix):
    noisy = bands[..., :46] // 2 + np.random.default_rng(0).integers(0, 99, (12, 3, 32, 46), "u1")
    write_video(tmp_path / "plain.mp4", noisy)
    plain = read_video(tmp_path / "plain.mp4").frames
    (tmp_path / "a.mp4").write_bytes(with_matrix((tmp_path / "plain.mp4").read_bytes(), matrix))
    expected = shown(plain, matrix)
    np.testing.assert_array_equal(read_video(tmp_path / "a.mp4").frames, expected)
    # Of 16 x 23 the cut is not central; one column more to a side would differ by 15. Colours are
    # resized at half the resolution.
    small = read_video(tmp_path / "a.mp4", size=16).frames
    assert np.abs(small.astype(int) - resize(expected, size=16)).mean() < 5


@pytest.mark.parametrize("number", ORIENTATIONS)
def test_every_orientation_of_a_picture_is_applied_exactly(tmp_path, bands, number):
    write_pictures(tmp_path / "plain", {"1.jpg": bands[0], "2.jpg": bands[5]})
    plain = read_pictures(tmp_path / "plain")
    (tmp_path / "turned").mkdir()
    for file in (tmp_path / "plain").iterdir():
        (tmp_path / "turned" / file.name).write_bytes(with_exif(file.read_bytes(), number))
    expected = shown(plain, ORIENTATIONS[number])
    np.testing.assert_array_equal(read_pictures(tmp_path / "turned"), expected)


def test_a_turn_by_another_angle_is_refused(tmp_path, bands):
    write_video(tmp_path / "a.mp4", bands)
    whole, slant = (tmp_path / "a.mp4").read_bytes(), np.sqrt(0.5)
    (tmp_path / "a.mp4").write_bytes(with_matrix(whole, (slant, slant, -slant, slant)))
    with pytest.raises(VideoError, match=r"a\.mp4: frame 0: .* multiple of 90 degrees") as caught:
        read_video(tmp_path / "a.mp4")
    assert "got [[0.707" in str(caught.value)


def write_pictures(folder, pictures):
    """Write pictures (3, H, W) by their names."""
    folder.mkdir()
    for name, image in pictures.items():
        new = folder.parent / "new.jpg"
        with av.open(new, "w", format="image2") as container:
            stream = container.add_stream("mjpeg", options={"update": "1"})
            stream.height, stream.width, stream.pix_fmt = *image.shape[1:], "yuvj444p"
            picture = np.ascontiguousarray(image.transpose(1, 2, 0))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        new.rename(folder / name)


def test_pictures_are_in_the_order_of_their_numbers_and_hidden_files_are_none(tmp_path):
    grey = {f"{n}.jpg": np.full((3, 16, 16), 20 * n, np.uint8) for n in (1, 10, 11, 2)}
    write_pictures(tmp_path / "a", grey)
    (tmp_path / "a" / "._1.jpg").write_bytes(b"what macOS leaves beside a file")
    assert (read_pictures(tmp_path / "a").mean((1, 2, 3)).round() / 20).tolist() == [1, 2, 10, 11]
    for folder, names in (
        ("b", ["f.jpg", "f2.jpg", "f10.jpg", "f10b2.jpg", "f10b11.jpg"]),
        ("times", ["-2.jpg", "-1.5.jpg", "0.jpg", "1.25.jpg", "1.5.jpg", "2.jpg", "10.0.jpg"]),
    ):
        write_pictures(tmp_path / folder, dict.fromkeys(reversed(names), grey["1.jpg"]))
        assert [file.name for file in picture_files(tmp_path / folder)] == names


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_converting_a_frame_leaves_no_threads_that_a_fork_would_lose(tmp_path):
    """FFmpeg's converter waits for its threads when it is freed, in a forked worker for ever."""
    write_video(tmp_path / "a.mp4", np.zeros((3, 3, 64, 64), np.uint8), fps=10)
    with av.open(str(tmp_path / "a.mp4")) as container:
        frame = next(container.decode(video=0))
        before = len(list(Path("/proc/self/task").iterdir()))
        upright_rgb(frame, aspect=1.0, size=32, first=None)  # the frame keeps its converter
        assert len(list(Path("/proc/self/task").iterdir())) == before


NAMES = ("12:30", "concat:a", "file:a", "http:a", "pipe:0", "-a", "a%03d", "[a]", "{a}", "a*")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_name_and_no_address_or_pattern(tmp_path, monkeypatch, bands, name):
    monkeypatch.chdir(tmp_path)
    write_video(f"{name}.mp4", bands)
    assert (tmp_path / f"{name}.mp4").exists()
    assert len(read_video(f"{name}.mp4").frames) == 12
    write_pictures(Path("%d"), {f"{name}.jpg": bands[0], f"{name}2.jpg": bands[1]})
    assert len(read_pictures(Path("%d"))) == 2
    with pytest.raises(VideoError, match="no such file"):
        read_video("%d/a%1d.jpg")  # a2.jpg may be there


def test_a_text_is_no_video_although_ffmpeg_would_draw_it(tmp_path):
    (tmp_path / "notes.txt").write_text("what was filmed\n" * 40)
    with pytest.raises(VideoError, match="not a video but text, which begins 'what was filmed'"):
        read_video(tmp_path / "notes.txt")


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile other.mp4\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.ts\n#EXT-X-ENDLIST\n",
    ],
)
def test_a_list_of_other_files_is_no_video(tmp_path, bands, text):
    for name in ("other.mp4", "other.ts"):
        write_video(tmp_path / name, bands)
    (tmp_path / "list.mp4").write_text(text)
    with pytest.raises(VideoError, match="not a video but text"):
        read_video(tmp_path / "list.mp4")


def test_colours_of_bt709_are_right(tmp_path):
    """Red is (255, 0, 0), in limited range Y = 63, Cb = 102, Cr = 240 by BT.709."""
    with av.open(tmp_path / "a.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.height, stream.width, stream.pix_fmt = 16, 16, "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = 1, 1
        planes = np.full((3, 16, 16), np.array([63, 102, 240])[:, None, None], np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv444p")
        frame.colorspace, frame.color_range = 1, 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    for size in (None, 8):
        frames = read_video(tmp_path / "a.mp4", size=size).frames
        assert np.abs(frames[0].astype(int) - np.array([255, 0, 0])[:, None, None]).max() <= 2


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
        (None, "no such file"),
        (b"", "not a video but an empty file"),
        (b"no video\n" * 400, "not a video but text, which begins 'no video'"),
        ("é".encode() * 3000, "not a video but text"),  # cut within a character
        (b"PK\x03\x04" + bytes(99), "not a video but a zip archive"),
        ("truncated", "not a video but a file that is damaged"),
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


def test_a_repeated_time_stamp_is_mended_and_said(tmp_path, bands):
    gaps = np.array([1, 1, 5, 1, 2, 0, 30, 1, 1, 3, 163]) / 30
    times = np.concatenate([[0], np.cumsum(gaps)])
    # The encoder wants times that increase; Matroska counts milliseconds.
    encode(tmp_path / "a.mkv", bands, np.rint(times * 90000) + (np.arange(12) == 6))
    with pytest.warns(UserWarning, match=r"a\.mkv: 1 of 12 time stamps do not increase"):
        video = read_video(tmp_path / "a.mkv")
    times[6] += 15 / 30  # half way between its neighbours
    assert video.times[-1] == pytest.approx(208 / 30, abs=1e-3)
    np.testing.assert_allclose(video.times, times, atol=1e-3)


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ([0, 40, 90, 90, 110, 400], [0, 40, 90, 100, 110, 400]),
        ([0, 0, 90, 100, 110, 400], [0, 45, 90, 100, 110, 400]),
        ([0, 40, 90, 100, 110, 110], [0, 40, 90, 100, 110, 135]),  # the median step, 25
        ([0, 40, 9000, 100, 110, 400], [0, 40, 70, 100, 110, 400]),
        ([0, 40, 90, 20, 110, 400], [0, 40, 90, 100, 110, 400]),
        ([0, 40, 90, 90, 90, 400], [0, 40, 80, 120, 160, 200]),  # more than one in four
    ],
)
def test_stamps_that_cannot_be_right_are_replaced_by_even_steps(tmp_path, bands, stamps, expected):
    decoding = np.minimum.accumulate(stamps[::-1])[::-1].tolist()
    with av.open(tmp_path / "a.mkv", "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuvj420p"
        for stamp, order, image in zip(stamps, decoding, bands, strict=False):
            picture = np.ascontiguousarray(image.transpose(1, 2, 0))
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                packet.time_base = Fraction(1, 1000)
                packet.pts, packet.dts, packet.duration = stamp, order, 0
                container.mux(packet)
    with pytest.warns(UserWarning, match="time stamps do not increase"):
        video = read_video(tmp_path / "a.mkv")
    np.testing.assert_allclose(video.times * 1000, expected, atol=1e-6)


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
    assert refused > 0  # 4 to 17 were seen: the encoder's file is another one now and then
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
    with warnings.catch_warnings(action="error"):  # their order is that of decoding, as AVI's is
        counts = {p.name[:8]: read_video(p, size=32) for p in sorted(folder.glob("*.avi"))}
    assert len(counts["hmdb51_T"].frames) == 83  # its header says 84
    for video in counts.values():  # the time stamps in these files go back and forth
        np.testing.assert_allclose(video.times, np.arange(len(video.frames)) / 30, atol=1e-9)


def test_the_best_of_several_streams_is_read():
    video = read_video(shared("decoder_checks", "nasa_13013.mp4"))
    assert video.frames.shape == (390, 3, 270, 480)
    np.testing.assert_allclose(np.diff(video.times), 1001 / 30000, atol=1e-6)


@pytest.mark.slow
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


def test_an_interrupted_video_leaves_what_was_there(tmp_path):
    def pictures():
        yield np.zeros((16, 16, 3), np.uint8)
        raise KeyboardInterrupt

    file = tmp_path / "both.mp4"
    file.write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt):
        encode_video(file, pictures(), rate=25)
    assert [path.name for path in tmp_path.iterdir()] == ["both.mp4"]
    assert file.read_bytes() == b"before"
