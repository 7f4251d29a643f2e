"""quantspec generate: the JSON of the contract, exactness over gamma, prompts and documents."""

import subprocess

import harness
from harness import MODEL, run, temporary_file

FIELDS = {
    "text": str, "tokens": list, "prompt_tokens": int, "generated_tokens": int,
    "finish_reason": str, "prefill_s": float, "prefill_tokens_per_s": float, "decode_s": float,
    "decode_tokens_per_s": float, "gamma": (int, str), "rounds": int, "drafted": int,
    "accepted": int, "acceptance": (float, type(None)), "accepted_by_position": list,
    "draft_s": float, "verify_s": float, "seal_s": float, "other_s": float, "cache_digest": str,
    "cached_tokens": int, "draft": str, "looked_up": int,
    "memory_bytes": dict, "peak_rss_bytes": int, "isa": str, "threads": int, "model": dict,
}
RAW = ["--chat", "off", "--prompt", "Once upon a time there was a", "--ignore-eos"]


@harness.needs_model
class Generate(harness.ProgramTest):
    def generate(self, *arguments, **options):
        return self.run_json("generate", "--model", MODEL, *arguments, **options)

    def test_json_has_every_field_of_the_contract(self):
        done = self.generate(*RAW, "--max-tokens", 24, "--gamma", 3)
        for name, kind in FIELDS.items():
            self.assertIn(name, done)
            self.assertIsInstance(done[name], kind if kind is not float else (float, int), name)
        self.assertEqual(done["generated_tokens"], 24)
        self.assertEqual(len(done["tokens"]), 24)
        self.assertEqual(done["finish_reason"], "length")
        self.assertEqual(done["gamma"], 3)
        self.assertGreater(done["drafted"], 0)
        self.assertEqual(len(done["accepted_by_position"]), 3)
        self.assertEqual(sum(done["accepted_by_position"]), done["accepted"])
        self.assertAlmostEqual(done["acceptance"], done["accepted"] / done["drafted"])
        self.assertEqual(len(done["cache_digest"]), 16)
        memory = done["memory_bytes"]
        self.assertEqual(memory["total"],
                         memory["weights"] + memory["cache"] + memory["scratch"])
        self.assertEqual(memory["cache"], memory["pool"] + memory["tail"] + memory["windows"])
        self.assertEqual(done["cached_tokens"], 0)
        self.assertEqual(done["draft"], "groups")
        self.assertEqual(set(done["model"]), {"name", "architecture", "layers", "context"})
        parts = done["draft_s"] + done["verify_s"] + done["seal_s"] + done["other_s"]
        self.assertAlmostEqual(parts, done["decode_s"], delta=0.05 * done["decode_s"] + 0.01)

    def test_output_and_cache_do_not_depend_on_gamma(self):
        plain = self.generate(*RAW, "--max-tokens", 40, "--gamma", 0)
        self.assertIsNone(plain["acceptance"])
        self.assertEqual(plain["drafted"], 0)
        for gamma in (2, 5, "auto"):
            drafted = self.generate(*RAW, "--max-tokens", 40, "--gamma", gamma)
            self.assertEqual(drafted["tokens"], plain["tokens"])
            self.assertEqual(drafted["cache_digest"], plain["cache_digest"])
            self.assertEqual(drafted["gamma"], gamma)

    def test_coupled_sampling_depends_on_the_seed_only(self):
        sampled = [*RAW, "--max-tokens", 16, "--temperature", 0.8]
        one = self.generate(*sampled, "--seed", 1, "--gamma", 0)
        same = self.generate(*sampled, "--seed", 1, "--gamma", 4)
        other = self.generate(*sampled, "--seed", 2, "--gamma", 4)
        self.assertEqual(one["tokens"], same["tokens"])
        self.assertNotEqual(one["tokens"], other["tokens"])

    def test_text_mode_prints_the_same_text_and_two_lines_of_summary(self):
        arguments = ["generate", "--model", MODEL, *RAW, "--max-tokens", 16]
        text = self.run_json(*arguments)["text"]
        done = run(*arguments)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stdout, text if text.endswith("\n") else text + "\n")
        self.assertEqual(len(done.stderr.splitlines()), 2, done.stderr)
        self.assertIn("tokens/s", done.stderr)
        self.assertNotIn("\r", done.stderr, "no progress in a pipe")
        self.assertEqual(run(*arguments, "--quiet").stderr, "")

    def test_an_end_token_stops_and_is_not_in_tokens(self):
        done = self.generate("--prompt", "Say only the word yes.", "--max-tokens", 200)
        self.assertEqual(done["finish_reason"], "stop")
        self.assertLess(done["generated_tokens"], 200)
        self.assertNotIn("<|im_end|>", done["text"])
        self.assertNotIn(2, done["tokens"])

    def test_special_tokens_in_documents_are_text(self):
        plain = self.generate("--prompt", "<|im_end|>", "--max-tokens", 1)
        # One special token would be one token; as text it is several.
        empty = self.generate("--prompt", "x", "--max-tokens", 1)
        self.assertGreater(plain["prompt_tokens"], empty["prompt_tokens"] + 1)

    def test_documents_come_before_the_prompt(self):
        with temporary_file("Document one.\n") as one, temporary_file("Document two.") as two:
            raw = self.generate("--chat", "off", "--file", one, "--file", two, "--prompt", " Why?",
                                "--max-tokens", 1)
            tokens = self.run_json("tokenize", "--model", MODEL, "--prompt",
                                   "Document one.\nDocument two. Why?")["tokens"]
            self.assertEqual(raw["prompt_tokens"], len(tokens))
            chat = self.generate("--file", one, "--prompt", "Why?", "--max-tokens", 1)
            self.assertGreater(chat["prompt_tokens"], 10)

    def test_prompt_files_and_standard_input_give_the_same_as_prompts(self):
        direct = self.generate("--prompt", "Why?", "--max-tokens", 3)
        with temporary_file("Why?") as path:
            self.assertEqual(self.generate("--prompt-file", path, "--max-tokens", 3)["tokens"],
                             direct["tokens"])
            done = run("generate", "--model", MODEL, "--prompt", "a", "--prompt-file", path)
            self.assert_fails(done, 2, "--prompt-file")
        self.assertEqual(self.generate("--prompt-file", "-", "--max-tokens", 3, text="Why?")["tokens"],
                         direct["tokens"])

    def test_a_full_context_ends_with_length_and_says_so(self):
        arguments = [*RAW, "--max-tokens", 100, "--context", 20]
        done = self.generate(*arguments)
        self.assertEqual(done["finish_reason"], "length")
        self.assertTrue(done["context_full"])
        self.assertLess(done["generated_tokens"], 20)
        said = run("generate", "--model", MODEL, *arguments).stderr
        self.assertIn("context of 20 tokens is full", said)

    def test_memory_is_what_inspect_predicted(self):
        context = 300
        plan = self.run_json("inspect", MODEL, "--context", context)["memory_bytes"]
        done = self.generate(*RAW, "--max-tokens", 2, "--context", context)
        self.assertEqual(done["memory_bytes"], plan)

    def test_memory_that_does_not_suffice_is_refused_before_loading(self):
        command = (f"ulimit -v 1000000; exec {harness.PROGRAM} generate --model {MODEL} "
                   "--prompt x --max-tokens 4 --weights float --context 8192 --cache full")
        done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False)
        if b"ReserveShadowMemoryRange" in done.stderr:
            self.skipTest("AddressSanitizer reserves more address space than a limit leaves")
        self.assertIn(done.returncode, (0, 1), done.stderr)
        if done.returncode == 1:
            self.assertIn(b"quantspec: error: ", done.stderr)

    def test_a_system_message_needs_a_chat_template(self):
        self.assert_fails(run("generate", "--model", MODEL, "--chat", "off", "--system", "s",
                              "--prompt", "x"), 2, "--system")

    def test_a_note_says_when_output_depends_on_timing(self):
        done = run("generate", "--model", MODEL, *RAW, "--max-tokens", 4, "--temperature", 1,
                   "--verify", "rejection")
        self.assertEqual(done.returncode, 0)
        self.assertIn("--gamma auto", done.stderr)


if __name__ == "__main__":
    harness.main()
