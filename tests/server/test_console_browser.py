"""The console in a real browser, whose microphone hears a recording."""

from __future__ import annotations

import random
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from running_service import Served
from spoken_words import ROUNDS, WORDS, pieces, said, wav

from voiceid.domain import JobKind

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("there is no chromium: no browser tries the console", allow_module_level=True)

PAGES = ["/", "/speaker?name=alice", "/speaker/remove?name=alice", "/enroll", "/try", "/recording"]
PAGES += ["/accuracy", "/evaluation", "/jobs", "/events", "/groups", "/attempts", "/keys"]
PAGES += ["/words", "/speaker?name=nobody"]
WAIT_MS = 30_000


@pytest.fixture(scope="module")
def microphone(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the microphone of the browser hears: the stranger, again and again."""
    heard = tmp_path_factory.mktemp("microphone") / "heard.wav"
    return Path(shutil.copy(clips / "stranger.wav", heard))


@pytest.fixture(scope="module")
def browser(microphone: Path) -> Iterator[playwright.Browser]:
    """A browser with that microphone."""
    args = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *("--disable-background-networking", "--use-fake-device-for-media-stream"),
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}",
    ]
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=CHROMIUM, args=args)
        yield started
        started.close()


@pytest.fixture
def page(browser: playwright.Browser) -> Iterator[playwright.Page]:
    """A page; a program or a style that the policy stops would be said in its console."""
    context = browser.new_context()
    context.set_default_timeout(WAIT_MS)
    said: list[str] = []
    opened = context.new_page()
    opened.on("console", lambda m: m.type in {"error", "warning"} and said.append(m.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    yield opened
    context.close()
    assert [text for text in said if not text.startswith("Failed to load")] == []


def test_no_page_is_wider_than_a_phone_and_each_field_has_a_name(
    page: playwright.Page, shared: Served
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for path in PAGES:
        page.goto(shared.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        unnamed = "!e.labels?.length && !e.ariaLabel && !e.textContent.trim() && e.type != 'hidden'"
        found = page.evaluate(
            f"[...document.querySelectorAll('input, select, textarea, button, a, meter')]"
            f".filter((e) => {unnamed}).map((e) => e.outerHTML)"
        )
        assert found == [], path


def test_what_can_be_done_with_a_row_is_seen_on_a_phone(
    page: playwright.Page, service: Served, clips: Path
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    service.vid.verify("alice", clips / "stranger.wav", caller="0123456789ab at 192.168.100.200")
    key = service.vid.keys.create("the north door", ["admin"], networks=["127.0.0.0/8"])
    page.goto(service.url)
    page.get_by_label("Key", exact=True).fill(key.text)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(service.url + "/")
    for path, action in (
        ("/attempts", "Forget"),
        ("/keys", "Remove"),
        ("/speaker?name=alice", "Remove sample"),
    ):
        page.goto(service.url + path)
        found = page.get_by_role("main").get_by_role("button" if action == "Forget" else "link")
        for one in found.filter(has_text=action.split()[0]).all():
            box = one.bounding_box()
            assert box is not None, path
            assert box["x"] + box["width"] <= 390, path


def test_a_person_signs_in_and_works_by_the_keyboard_alone(
    page: playwright.Page, service: Served
) -> None:
    key = service.vid.keys.create("desk", ["admin"])
    page.goto(service.url)
    playwright.expect(page.get_by_label("Key", exact=True)).to_be_focused(timeout=WAIT_MS)
    page.keyboard.type(key.text)
    page.keyboard.press("Enter")
    page.wait_for_url(service.url + "/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    page.keyboard.press("Enter")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "bob":
            break
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="bob").wait_for()
    page.get_by_label("Groups, with commas").focus()
    page.keyboard.type("lobby")
    page.keyboard.press("Enter")
    page.get_by_text("It is saved.").wait_for()
    assert service.vid.speakers.get("bob").groups == ("lobby",)
    service.vid.keys.remove(key.key.id)
    service.vid.keys.create("other", ["admin"])
    page.reload()
    page.get_by_role("heading", name="Sign in").wait_for()


def record(page: playwright.Page, microphone: Path, seconds: int, stop: str = "Stop") -> None:
    """Record a take, which begins elsewhere in what is heard than the one before.

    The browser opens the file for each take: from the same place on, two takes of one length would
    be the same recording to the sample, which no microphone gives, and be refused as a replay.
    """
    samples, rate_hz = soundfile.read(microphone, dtype="int16")
    soundfile.write(microphone, np.roll(samples, -rate_hz // 3), rate_hz)
    page.get_by_role("button", name="Record", exact=True).click()
    page.get_by_role("button", name=stop).wait_for()
    meter, clock = (playwright.expect(page.locator(one)) for one in ("meter", "[data-clock]"))
    meter.not_to_have_js_property("value", -60, timeout=WAIT_MS)
    clock.to_have_text(re.compile(rf"^([{seconds}-9]|\d\d)\.\d s$"), timeout=WAIT_MS)
    page.get_by_role("button", name=stop).click()


def test_a_voice_is_enrolled_by_the_microphone_and_known_again(
    page: playwright.Page, service: Served, microphone: Path
) -> None:
    page.goto(service.url + "/enroll")
    page.get_by_label("Name").fill("dora")
    said = page.locator("[data-said]")
    record(page, microphone, 2)
    verdict = said.filter(has_text=re.compile("speech are missing|is enough|cannot be enrolled"))
    verdict.wait_for()
    enough = said.filter(has_text="This is enough to enrol.")
    # A busy browser drops samples: then the page asks for more, or refuses the takes.
    for _ in range(5):
        if said.filter(has_text="cannot be enrolled").count():
            while page.get_by_role("button", name="Remove take").count():
                page.get_by_role("button", name="Remove take").first.click()
        record(page, microphone, 4)
        verdict.wait_for()
        if enough.count():
            break
    assert enough.count(), said.inner_text()
    assert service.vid.speakers.count() == 2
    page.get_by_role("button", name="Enrol", exact=True).click()
    page.locator("[data-done]", has_text="dora is enrolled").wait_for()
    assert service.vid.speakers.get("dora").n_samples >= 1
    assert page.locator(".takes li").count() == 0
    page.goto(service.url + "/try")
    record(page, microphone, 4, "Stop and ask")
    page.locator(".outcome").wait_for()
    answer = page.locator("#result").inner_text()
    assert "Accepted: dora" in answer, answer
    assert "threshold" in (page.locator(".scale").get_attribute("aria-label") or "")


def test_a_file_is_tried_and_what_is_wrong_with_it_is_said_in_place(
    page: playwright.Page, shared: Served, clips: Path
) -> None:
    page.goto(shared.url + "/try")
    page.get_by_label("Recording", exact=True).set_input_files(clips / "bob-3.wav")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_role("heading", name="Accepted: bob").wait_for()
    page.get_by_label("Claimed speaker", exact=True).fill("alice")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_role("heading", name="Rejected").wait_for()
    file = {"name": "a.wav", "mimeType": "audio/wav", "buffer": b"no audio"}
    page.get_by_label("Recording", exact=True).set_input_files(file)
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_role("alert").wait_for()


def test_words_are_taught_and_a_code_is_shown_and_answered(
    page: playwright.Page, service: Served, ami, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = pieces(ami.samples("alice-2"))
    rounds = [wav(*said(words, take)) for take in range(ROUNDS)]
    service.vid.enroll("alice", [*rounds, wav(*said(words, 3))], mode="replace", force=True)

    def files(recordings: list[bytes]) -> list[dict[str, object]]:
        return [{"name": "a.wav", "mimeType": "audio/wav", "buffer": one} for one in recordings]

    page.goto(service.url + "/speaker?name=alice")
    page.get_by_role("link", name="Words for codes").click()
    page.get_by_label("Words, with spaces").fill(" ".join(WORDS))
    page.get_by_label("Recordings", exact=True).set_input_files(files(rounds[:1]))
    page.get_by_role("button", name="Teach").click()
    page.get_by_role("alert").wait_for()
    page.get_by_label("Recordings", exact=True).set_input_files(files(rounds[1:]))
    page.get_by_role("button", name="Teach").click()
    page.get_by_text("alice has 8 words, 3 times each.").wait_for()
    monkeypatch.setattr(secrets, "choice", random.Random(4).choice)
    page.goto(service.url + "/try?speaker=alice")
    page.get_by_role("button", name="Ask for a code").click()
    code = page.locator(".code").inner_text().split()
    answer = wav(*said([words[WORDS.index(word)] for word in code], 3))
    for heading in ("Accepted: alice", "Rejected"):
        page.get_by_label("Recording", exact=True).set_input_files(files([answer]))
        page.get_by_role("button", name="Ask", exact=True).click()
        page.get_by_role("heading", name=heading).wait_for()
    page.get_by_text("The code has expired, or was answered before.").wait_for()
    page.get_by_role("button", name="Ask for another code").click()
    page.get_by_text("The answer appears here.").wait_for()


def test_turns_light_up_while_a_recording_is_played(
    page: playwright.Page, shared: Served, repo: Path
) -> None:
    page.goto(shared.url + "/recording")
    page.get_by_label("Recording", exact=True).set_input_files(repo / "data/ami/dev00.wav")
    page.get_by_role("button", name="Listen to it").click()
    page.locator(".turns button").first.click()
    page.locator(".turns .lit", has_text="bob").wait_for()
    page.locator(".lanes rect.lit").wait_for()
    page.goto(shared.url + "/jobs")
    page.locator("tbody a").first.click()
    page.get_by_label("Choose the recording again").set_input_files(repo / "data/ami/dev00.wav")
    page.locator(".turns button").first.click()
    page.locator(".turns .lit", has_text="bob").wait_for()


def test_a_folder_is_evaluated_and_its_job_is_cancelled_by_the_keyboard(
    page: playwright.Page, shared: Served, clips: Path, tmp_path: Path
) -> None:
    for name in ("alice-1", "alice-3", "bob-1", "bob-3"):
        (tmp_path / "site" / name[:-2]).mkdir(parents=True, exist_ok=True)
        shutil.copy(clips / f"{name}.wav", tmp_path / "site" / name[:-2])
    page.goto(shared.url + "/evaluation")
    page.get_by_label("A folder with a folder").set_input_files(tmp_path / "site")
    page.get_by_role("button", name="Begin").click()
    page.get_by_role("heading", name="4 recordings of 2 speakers").wait_for()
    page.get_by_role("img", name="Detection error").wait_for()
    with shared.parts.jobs.store.write() as writer:  # another process works on it for a minute
        writer.jobs.add("slow", JobKind.ENROLL, None, {"clips": []})
        writer.jobs.claim(["slow"], "other", 60.0)
        writer.jobs.renew("slow", "other", 60.0, (1.0, 4.0))
    page.goto(shared.url + "/job?id=slow")
    page.get_by_text("1 of 4 people are done.").wait_for()
    page.get_by_role("button", name="Cancel").focus()
    with shared.parts.jobs.store.write() as writer:
        writer.jobs.renew("slow", "other", 60.0, (2.0, 4.0))
    page.get_by_text("2 of 4 people are done.").wait_for()
    page.keyboard.press("Enter")  # the focus is where it was
    page.get_by_text("The job was cancelled.").wait_for()


def test_decisions_are_shown_as_they_are_made(
    page: playwright.Page, shared: Served, clips: Path
) -> None:
    page.goto(shared.url + "/events")
    page.get_by_text("newest first").wait_for()
    shared.vid.identify((clips / "bob-3.wav").read_bytes())
    page.locator("[data-rows] tr", has_text="bob").wait_for()
    page.route("**/v1/events", lambda route: route.fulfill(status=404))
    page.reload()
    page.get_by_text("This service sends no live events.").wait_for()
