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

    def test_windows_count_what_read_sealed_groups(self):
        done = self.quality("--protocol", "gptq", "--window", 300, "--readers", "both")
        self.assertEqual(done["protocol"], "gptq")
        self.assertEqual(done["targets"], 299 * done["windows"])
        self.assertEqual(done["sealed_targets"], 43 * done["windows"])  # rows 256 to 298
        self.assertAlmostEqual(done["draft"]["perplexity"] / done["target"]["perplexity"], 1,
                               delta=0.3)
        self.assertGreater(done["target"]["perplexity_error"], 0)

    def test_a_base_file_agrees_with_its_own_model(self):
        with temporary_file("") as base:
            saved = self.quality("--protocol", "llama", "--window", 64, "--windows", 3,
                                 "--save-base", base)
            self.assertEqual(saved["targets"], 3 * 31)
            done = self.run_json("quality", "--model", MODEL, "--kld-base", base)
            self.assertEqual(done["targets"], saved["targets"])
            self.assertLess(abs(done["target"]["kld"]), 1.3e-4)
            self.assertEqual(done["target"]["top1"], 1)
            self.assertAlmostEqual(done["base"]["perplexity"] / saved["target"]["perplexity"], 1,
                                   delta=1e-3)

    def test_windows_and_lengths_do_not_mix(self):
        for arguments, word in (
                (("--protocol", "gptq", "--prefix", 4, "--tokens", 4), "--prefix"),
                (("--protocol", "gptq", "--save-base", "b"), "--protocol llama"),
                (("--window", 64), "--protocol"),
                (("--protocol", "other"), "gptq or llama"),
                (("--kld-base", "b"), "--file")):
            self.assert_fails(run("quality", "--model", MODEL, "--file", __file__, *arguments), 2,
                              word)
        self.assert_fails(run("quality", "--model", MODEL, "--kld-base", __file__), 1, "_logits_")

    def test_both_lengths_are_needed(self):
        self.assert_fails(run("quality", "--model", MODEL, "--file", __file__), 2, "--prefix")
        self.assert_fails(run("quality", "--model", MODEL, "--prefix", 1, "--tokens", 1), 2,
                          "--file")


if __name__ == "__main__":
    harness.main()
