"""Every explorer, driven as a reader would drive it: by keyboard and mouse, in JupyterLab and in Voilà."""
import os
import re
import statistics
import time
from hashlib import sha256
from pathlib import Path

import pytest
from playwright.sync_api import expect

from singan_nb import explore

SHOTS = os.environ.get("SCREENSHOTS")             # a folder that keeps the pictures of the documentation


class Tool:
    "One explorer on the page."
    def __init__(self, page, name):
        self.page, self.name, self.root = page, name, page.locator(f".singan-{name}")
        self.root.scroll_into_view_if_needed()

    def slider(self, name): return self.root.get_by_role("slider", name=name, exact=True)
    def field(self, name): return self.root.get_by_label(name, exact=True)
    def button(self, name): return self.root.get_by_role("button", name=name, exact=True)

    @property
    def status(self): return self.root.locator("[role=status][data-request]")
    @property
    def request(self): return int(self.status.get_attribute("data-request"))
    @property
    def shown(self): return self.root.locator("figure").get_attribute("data-sha256")
    @property
    def text(self): return self.status.inner_text()

    def settled(self, after=-1, state="done"):
        "Wait for the answer to a request later than `after`."
        selector = f".singan-{self.name} [role=status][data-request]"
        self.page.wait_for_function("([s, n, state]) => { const e = document.querySelector(s); return e && Number(e.dataset.request) > n && e.dataset.state == state }", arg=[selector, after, state])
        return self.text

    def press(self, name, key="ArrowRight", times=1):
        "Move a slider by the keyboard, and wait for the picture."
        before = self.request
        self.slider(name).focus()
        for _ in range(times): self.page.keyboard.press(key)
        return self.settled(before)

    def type(self, name, value, state="done"):
        before, field = self.request, self.field(name)
        field.fill(str(value)); field.press("Enter"); field.blur()
        return self.settled(before, state)

    def click(self, name):
        before = self.request
        self.button(name).click()
        return self.settled(before)

    def choose(self, name, option):
        before = self.request
        self.field(name).select_option(option)
        return self.settled(before)

    def source(self): return self.root.locator("figure img").get_attribute("src")

    def check(self, controller, **state):
        "The picture on the page is the one that the library makes."
        expected = controller.answer(**state).picture.png
        assert self.shown == sha256(expected).hexdigest(), f"{self.name}: not the picture of {state}"

    def keep(self):
        "A picture for the documentation; at the same time a look at the names and the alt text."
        assert len(self.root.locator("figure img").get_attribute("alt").split()) >= 6
        for control in self.root.get_by_role("slider").all() + self.root.locator("input:visible, select:visible").all():
            assert control.get_attribute("aria-label") or control.get_attribute("id"), control.evaluate("e => e.outerHTML")
        if SHOTS and self.page.kind == "lab":
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            shot = self.root.screenshot()
            import io
            from PIL import Image
            picture = Image.open(io.BytesIO(shot)).convert("RGB").quantize(256)
            picture.save(Path(SHOTS)/f"{self.name}.png", optimize=True)


def test_scales(page):
    tool = Tool(page, "scales")
    height, first = tool.root.bounding_box()["height"], tool.source()
    assert "start scale 1" in tool.press("start scale")
    reference = explore.ScalesController({"model": "dunes"})
    tool.check(reference, start_scale=1)
    assert tool.source() != first and tool.root.bounding_box()["height"] == height
    tool.press("seed", times=3); tool.check(reference, seed=3)
    tool.press("2 (40×64): gain", "ArrowLeft", times=4); tool.check(reference, gain2=0.)
    last = tool.shown
    assert "at least 1 × 1" in tool.type("width, pixels", -5, state="error") and tool.shown == last
    tool.type("width, pixels", 200); tool.check(reference, width=200)
    tool.keep()
    tool.click("Reset"); tool.check(reference, **reference.defaults)


def test_a_fast_drag_leaves_one_final_picture(page):
    tool = Tool(page, "scales")
    text = tool.press("seed", times=25)
    page.wait_for_function("() => document.querySelector('.singan-scales [data-state=done]')?.textContent.includes('seeds [25,')")
    page.wait_for_timeout(500)
    assert "seeds [25," in tool.text, text
    tool.check(explore.ScalesController({"model": "dunes"}), seed=25)
    tool.click("Reset")
