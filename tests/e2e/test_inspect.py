"""quantspec inspect: the contract's JSON, fast, for every model it can read."""

import time

import harness
from harness import MODEL, run

MODEL_FIELDS = {"name", "architecture", "layers", "hidden", "ffn", "q_heads", "kv_heads", "head_dim",
                "vocab", "context"}


class Inspect(harness.ProgramTest):
    def test_tiny_models_show_their_shapes(self):
        shown = self.run_json("inspect", harness.TINY_MODELS / "llama-gqa.gguf", "--context", 64)
        self.assertLessEqual(MODEL_FIELDS, set(shown["model"]))
        self.assertEqual(shown["model"]["architecture"], "llama")
        for tensor in shown["tensors"]:
            self.assertLessEqual({"name", "source_type", "stored_type", "shape"}, set(tensor))
        memory = shown["memory_bytes"]
        self.assertEqual(memory["total"],
                         memory["weights"] + memory["cache"] + memory["scratch"])
        self.assertGreater(shown["largest_context"], 0)

    def test_the_memory_grows_with_the_context_and_the_weights(self):
        path = harness.TINY_MODELS / "llama-gqa.gguf"
        small = self.run_json("inspect", path, "--context", 32)["memory_bytes"]
        large = self.run_json("inspect", path, "--context", 128)["memory_bytes"]
        self.assertGreater(large["cache"], small["cache"])
        floats = self.run_json("inspect", path, "--weights", "float")["memory_bytes"]
        self.assertGreater(floats["weights"], small["weights"])

    def test_sequences_have_tails_of_their_own_and_one_pool(self):
        path = harness.TINY_MODELS / "llama-long.gguf"
        one = self.run_json("inspect", path, "--context", 1024)["memory_bytes"]
        four = self.run_json("inspect", path, "--context", 1024, "--sequences", 4)["memory_bytes"]
        self.assertEqual(four["tail"], 4 * one["tail"])
        self.assertEqual(four["pool"], 4 * one["pool"])
        shared = self.run_json("inspect", path, "--context", 1024, "--sequences", 4,
                               "--cache-tokens", 2048)["memory_bytes"]
        self.assertEqual(shared["pool"], 2 * one["pool"])

    def test_windows_are_planned_by_themselves(self):
        path = harness.TINY_MODELS / "llama-windows.gguf"  # one layer of two, 100 tokens
        plain = self.run_json("inspect", harness.TINY_MODELS / "llama-long.gguf", "--context",
                              1024)["memory_bytes"]
        one = self.run_json("inspect", path, "--context", 1024)["memory_bytes"]
        self.assertEqual(plain["windows"], 0)
        self.assertEqual(one["pool"], plain["pool"] // 2)
        row = 2 * 64 * 2
        self.assertEqual(one["windows"], (512 + 2 * 256) * row)
        self.assertEqual(one["cache"], one["pool"] + one["tail"] + one["windows"])
        long = self.run_json("inspect", path, "--context", 2048)["memory_bytes"]
        self.assertEqual(long["windows"], one["windows"])
        four = self.run_json("inspect", path, "--context", 1024, "--sequences",
                             4)["memory_bytes"]
        self.assertEqual(four["windows"], 4 * one["windows"])
        self.assertIn("windows", harness.run("inspect", path).stdout)

    def test_the_draft_plan_has_a_default_and_the_limit_of_the_layers(self):
        path = harness.TINY_MODELS / "llama-gqa.gguf"
        self.assertEqual(self.run_json("inspect", path)["draft_exact_layers"], 0)
        self.assertEqual(self.run_json("inspect", path, "--group", 64)["draft_exact_layers"], 1)
        for number in ("0", "2"):
            shown = self.run_json("inspect", path, "--group", 64, "--draft-exact-layers", number)
            self.assertEqual(shown["draft_exact_layers"], int(number))
        done = run("inspect", path, "--draft-exact-layers", 3)
        self.assert_fails(done, 1, "draft_exact_layers", "found 3", "0 to 2")

    def test_exact_layers_of_bf16_weights_have_no_copy_for_the_draft(self):
        shown = self.run_json("inspect", harness.TINY_MODELS / "llama-gqa.gguf", "--weights",
                              "bf16", "--draft-exact-layers", 1)
        stored = {tensor["name"]: tensor["stored_type"] for tensor in shown["tensors"]}
        self.assertEqual(stored["blk.0.ffn_up.weight"], "bf16 + hq4 g32")
        self.assertEqual(stored["blk.1.ffn_up.weight"], "bf16")

    @harness.needs_model
    def test_the_demo_model_is_shown_without_loading_it(self):
        start = time.monotonic()
        shown = self.run_json("inspect", "--model", MODEL)
        self.assertLess(time.monotonic() - start, 5)
        self.assertEqual(shown["model"]["layers"], 30)
        self.assertEqual(shown["model"]["context"], 8192)
        self.assertEqual(len(shown["tensors"]), 272)
        stored = {tensor["source_type"]: tensor["stored_type"] for tensor in shown["tensors"]}
        self.assertEqual(stored["Q4_1"], "hq4 g32")

    @harness.needs_model
    def test_text_mode_has_metadata_tensors_and_memory(self):
        shown = run("inspect", MODEL, "--context", 1000).stdout
        for word in ("general.architecture = llama", "blk.0.attn_q.weight", "context of 1000 tokens",
                     "Largest context"):
            self.assertIn(word, shown)

    @harness.needs_model
    def test_a_context_beyond_the_model_is_refused(self):
        self.assert_fails(run("inspect", MODEL, "--context", 9000), 1, "9000", "8192")


if __name__ == "__main__":
    harness.main()
