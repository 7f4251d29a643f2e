"""quantspec quality: the contract's JSON, and what must hold whatever the model."""

import harness
from harness import MODEL, run, temporary_file

TEXT = ("It was a bright cold day in spring, and the clocks of the town were striking noon. The "
        "old sailor put down his pipe, looked out of the window and began to speak of whales. ") * 8


@harness.needs_model
class Quality(harness.ProgramTest):
    def quality(self, *arguments):
        with temporary_file(TEXT) as path:
            return self.run_json("quality", "--model", MODEL, "--file", path, *arguments)

    def test_json_has_every_field_and_sane_values(self):
        # 250 + 20 crosses the first seal.
        done = self.quality("--prefix", 250, "--tokens", 20)
        self.assertEqual(done["prefix"], 250)
        self.assertEqual(done["tokens"], 20)
        self.assertGreater(done["reference"]["perplexity"], 1)
        self.assertLess(done["target"]["kld"], 0.1)
        self.assertGreater(done["target"]["top1"], 0.6)
        self.assertGreater(done["draft"]["top1"], 0.5)
        self.assertGreater(done["draft"]["overlap"], 0.6)
        self.assertLessEqual(done["draft"]["overlap"], 1)
        self.assertAlmostEqual(done["target"]["perplexity"] / done["reference"]["perplexity"], 1,
                               delta=0.2)

    def test_the_reference_is_no_distance_from_itself(self):
        done = self.quality("--prefix", 40, "--tokens", 8, "--weights", "float", "--cache", "full")
        self.assertLess(done["target"]["kld"], 1e-9)
        self.assertEqual(done["target"]["top1"], 1)
        self.assertLess(done["draft"]["kld"], 1e-9)

    def test_a_text_too_short_says_how_many_tokens_it_has(self):
        with temporary_file("A few words.") as path:
            self.assert_fails(run("quality", "--model", MODEL, "--file", path, "--prefix", 100,
                                  "--tokens", 10), 1, "111", str(path))

    def test_both_lengths_are_needed(self):
        self.assert_fails(run("quality", "--model", MODEL, "--file", __file__), 2, "--prefix")
        self.assert_fails(run("quality", "--model", MODEL, "--prefix", 1, "--tokens", 1), 2,
                          "--file")


if __name__ == "__main__":
    harness.main()
