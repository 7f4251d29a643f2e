"""--draft and its options: every draft gives plain decoding's output, wrong ones are refused."""

import harness
from harness import MODEL, run, temporary_file

TEXT = " ".join(f"The {n}th of the ships sailed with {n * 7 % 13} men on board." for n in range(90))


@harness.needs_model
class Drafts(harness.ProgramTest):
    def generate(self, path, *arguments):
        return self.run_json("generate", "--model", MODEL, "--chat", "off", "--file", path,
                             "--ignore-eos", "--max-tokens", 24, *arguments)

    def test_output_and_cache_do_not_depend_on_the_draft(self):
        with temporary_file(TEXT) as path:
            for cache in ("hierarchical", "full"):
                plain = self.generate(path, "--cache", cache, "--gamma", 0)
                for draft in ("groups", "upper", "streaming", "snapkv", "pillar", "ngram"):
                    done = self.generate(path, "--cache", cache, "--gamma", 3, "--draft", draft,
                                         "--draft-budget", "auto" if draft in ("upper", "ngram") else "0.25")
                    self.assertEqual(done["tokens"], plain["tokens"], draft)
                    self.assertEqual(done["cache_digest"], plain["cache_digest"], draft)
                    self.assertEqual(done["draft"], draft)
                    self.assertGreater(done["accepted"], 0, draft)
                    self.assertEqual(done["looked_up"],
                                     done["drafted"] if draft == "ngram" else 0)

    def test_options_of_drafts_are_taken_and_refused(self):
        with temporary_file(TEXT) as path:
            done = self.generate(path, "--gamma", 2, "--draft", "snapkv", "--snapkv-scale", "none",
                                 "--snapkv-pool", "max7", "--draft-weights", "target",
                                 "--draft-budget", 128)
            self.assertGreater(done["accepted"], 0)
            fast = ["generate", "--model", MODEL, "--prompt", "x", "--max-tokens", 2]
            self.assert_fails(run(*fast, "--draft", "snapcv"), 2, "--draft", "snapkv")
            self.assert_fails(run(*fast, "--draft-budget", "2.5"), 2, "--draft-budget", "'2.5'")
            self.assert_fails(run(*fast, "--draft", "pillar", "--draft-cache", "int4"), 1,
                              "draft cache", "int4", "target")
            self.assert_fails(run(*fast, "--draft", "upper", "--draft-budget", "0.5"), 1, "upper",
                              "groups")
            self.assert_fails(run(*fast, "--draft", "ngram", "--draft-weights", "target"), 1,
                              "ngram")
            self.assert_fails(run(*fast, "--cache", "full", "--draft-cache", "int4"), 1, "full")
            self.assert_fails(run(*fast, "--weights", "float", "--draft-weights", "int4"), 1,
                              "float")


if __name__ == "__main__":
    harness.main()
