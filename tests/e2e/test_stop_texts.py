"""Stop texts: never printed, found across tokens, first one wins."""

import harness
from harness import MODEL, run

ARGUMENTS = ["--model", MODEL, "--chat", "off", "--ignore-eos", "--max-tokens", 40, "--prompt",
             "A list of numbers: one, two, three, four, five, six, seven, eight, nine, ten\n"
             "A list of numbers: one, two, three,"]


@harness.needs_model
class StopTexts(harness.ProgramTest):
    def setUp(self):
        self.whole = self.run_json("generate", *ARGUMENTS)
        self.assertGreater(len(self.whole["text"]), 30)

    def test_the_text_ends_before_a_stop_text_that_spans_tokens(self):
        text = self.whole["text"]
        stop = text[7:19]  # twelve characters: several tokens
        done = self.run_json("generate", *ARGUMENTS, "--stop", stop)
        self.assertEqual(done["text"], text[:text.index(stop)])
        self.assertEqual(done["finish_reason"], "stop")
        count = len(done["tokens"])
        self.assertEqual(done["tokens"], self.whole["tokens"][:count])
        self.assertLess(count, 40)

    def test_text_mode_prints_nothing_of_a_stop_text(self):
        text = self.whole["text"]
        stop = text[7:19]
        done = run("generate", *ARGUMENTS, "--stop", stop, "--quiet")
        self.assertEqual(done.stdout.rstrip("\n"), text[:text.index(stop)].rstrip("\n"))

    def test_the_earliest_of_several_stops(self):
        text = self.whole["text"]
        stops = [text[20:24], text[5:9], "never appears"]
        arguments = [part for stop in stops for part in ("--stop", stop)]
        done = self.run_json("generate", *ARGUMENTS, *arguments)
        first = min(text.index(stop) for stop in stops[:2])
        self.assertEqual(done["text"], text[:first])

    def test_the_beginning_of_a_stop_text_alone_is_shown(self):
        done = self.run_json("generate", *ARGUMENTS, "--stop", self.whole["text"][-3:] + "zzz")
        self.assertEqual(done["text"], self.whole["text"])
        self.assertEqual(done["finish_reason"], "length")


if __name__ == "__main__":
    harness.main()
