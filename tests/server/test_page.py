"""The page of quantspec serve, in headless Chromium; skipped where there is none.

QUANTSPEC_SCREENSHOTS names a folder for pictures, QUANTSPEC_PAGE_MODEL a model to show in them.
"""

import os
import sys
import unittest

import browser
import server_harness
from server_harness import Server

SHOTS = os.environ.get("QUANTSPEC_SCREENSHOTS")
MODEL = os.environ.get("QUANTSPEC_PAGE_MODEL")
LAST = "document.querySelector('#log').lastElementChild"
IDLE = "!document.getElementById('send').hidden"


class PageTest(unittest.TestCase):
    dark = False

    @classmethod
    def setUpClass(cls):
        if MODEL:
            cls.server = Server(model=MODEL, template=False)
        else:
            cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def setUp(self):
        self.tab = browser.Browser(dark=self.dark)
        self.addCleanup(self.tab.__exit__)
        self.tab.open(f"http://127.0.0.1:{self.server.port}/")

    def tearDown(self):
        self.assertEqual(self.tab.console, [], "the page complains")

    def shoot(self, name):
        if SHOTS:
            self.tab.screenshot(os.path.join(SHOTS, name + ("-dark" if self.dark else "") + ".png"))

    def ask(self, text, tokens=40):
        self.tab.run(f"keep('max', '{tokens}'); keep('temperature', '0'); "
                     "document.getElementById('input').focus()")
        self.tab.type(text)
        self.tab.press("Enter", 13)

    def answer(self):
        """The last article once nothing is being written."""
        self.tab.wait_for(IDLE)
        return self.tab.run(f"({{kind: {LAST}.className, text: {LAST}.querySelector('.text')"
                            f".textContent, facts: {LAST}.querySelector('.facts').textContent}})")

    def drop(self, *files):
        list_ = ", ".join(f"new File([new Uint8Array({list(data)})], {name!r})"
                          for name, data in files)
        self.tab.run("(() => { const data = new DataTransfer();"
                     f"for (const file of [{list_}]) data.items.add(file);"
                     "dispatchEvent(new DragEvent('drop', {dataTransfer: data, cancelable: true}));"
                     "})()")


class Page(PageTest):
    def test_the_model_is_named(self):
        name = self.tab.wait_for("document.getElementById('model').textContent")
        self.assertIn("tokens", name)
        self.shoot("empty")

    def test_an_answer_streams_in(self):
        self.ask("What is two plus two?")
        self.assertIn("assistant", self.answer()["kind"])
        self.assertGreater(len(self.answer()["text"]), 0)
        self.assertIn("tokens/s", self.answer()["facts"])
        self.assertEqual(self.tab.run("document.activeElement.id"), "input")
        # A screen reader is told of the answer as a whole.
        self.assertEqual(self.tab.run("document.getElementById('spoken').textContent"),
                         self.answer()["text"])
        self.shoot("answer")

    def test_documents_are_read_and_stored(self):
        story = ("It was a bright cold day. The clocks were striking thirteen. " *
                 (80 if MODEL else 14)).encode()
        self.drop(("story.txt", story))
        self.tab.wait_for("document.querySelectorAll('#files li').length === 1")
        self.shoot("document")
        self.ask("How many times did the clocks strike?", tokens=20)
        self.answer()
        self.assertIn("story.txt", self.tab.run("document.querySelector('#log').textContent"))
        self.ask("And the day?", tokens=20)
        facts = self.answer()["facts"]
        self.assertRegex(facts, r"[1-9]\d* of [\d,]+ prompt tokens were stored")
        self.shoot("stored")

    def test_what_is_no_text_is_refused_kindly(self):
        self.drop(("photo.png", b"\x89PNG\r\n\x1a\n\0\0"), ("notes.txt", b"fine"))
        said = self.tab.wait_for("document.getElementById('said').textContent")
        self.assertIn("photo.png is not a text document", said)
        self.assertEqual(self.tab.run("document.querySelectorAll('#files li').length"), 1)
        self.shoot("refused")

    def test_escape_stops_an_answer(self):
        # A tiny model may be done before the key is pressed: the page hears of it afterwards.
        self.tab.run("{ const real = fetch; window.fetch = async (url, options) => {"
                     " const response = await real(url, options);"
                     " await new Promise((_, fail) => options.signal.addEventListener('abort',"
                     " () => fail(options.signal.reason))); return response; } }")
        self.ask("Count to a thousand.", tokens=1900)
        self.tab.wait_for("running !== null")
        self.tab.press("Escape", 27)
        self.tab.wait_for(IDLE)
        self.assertEqual(self.tab.run("document.getElementById('said').textContent"), "Stopped")
        self.server.wait_until(self.server.is_idle)

    def test_a_message_can_be_edited_by_keyboard(self):
        self.ask("First question", tokens=8)
        self.answer()
        self.tab.run("document.querySelector('[aria-label=\"Edit this message\"]').focus()")
        self.tab.press("Enter", 13)
        self.tab.wait_for("document.activeElement.getAttribute('aria-label') === 'Edit message'")
        self.tab.run("document.activeElement.select()")
        self.tab.type("Second question")
        self.tab.press("Enter", 13)
        self.answer()
        texts = self.tab.run("[...document.querySelectorAll('article.user .text')]"
                             ".map((e) => e.textContent)")
        self.assertEqual(texts, ["Second question"])

    def test_an_error_is_shown(self):
        self.ask("x" * 3000 if not MODEL else "x " * 30000)
        answer = self.answer()
        self.assertEqual(answer["kind"], "error")
        self.assertIn("maximum context length", answer["text"])
        self.tab.console.clear()  # the browser tells of the 400, too
        self.shoot("error")

    def test_every_control_has_a_name(self):
        nameless = self.tab.run(
            "[...document.querySelectorAll('button, input, textarea, dialog')].filter((e) => "
            "!e.hidden && !e.getAttribute('aria-label') && !e.getAttribute('aria-labelledby') && "
            "!e.textContent.trim() && !e.labels?.length).map((e) => e.outerHTML)")
        self.assertEqual(nameless, [])

    def test_the_theme_is_kept(self):
        before = self.tab.run("document.documentElement.dataset.theme")
        self.tab.run("document.getElementById('theme').click()")
        after = self.tab.run("document.documentElement.dataset.theme")
        self.assertNotEqual(before, after)
        self.tab.open(f"http://127.0.0.1:{self.server.port}/?again")
        self.assertEqual(self.tab.run("document.documentElement.dataset.theme"), after)


class DarkPage(PageTest):
    dark = True

    def test_a_dark_system_gets_a_dark_page(self):
        self.assertEqual(self.tab.run("document.documentElement.dataset.theme"), "dark")
        self.drop(("story.txt", b"It was a bright cold day in April."))
        self.tab.wait_for("document.querySelectorAll('#files li').length === 1")
        self.ask("What was the day like?", tokens=60)
        self.assertIn("assistant", self.answer()["kind"])
        self.shoot("answer")


if __name__ == "__main__":
    if browser.find() is None:
        print("skipped: there is no Chromium")
        sys.exit(77)
    server_harness.main()
