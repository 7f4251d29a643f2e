"""The memory of a process is what the plan says: the model file takes none."""

import harness
from harness import MODEL

PROGRAM_BYTES = 50 << 20  # code, libraries, the file's header, the tokenizer, stacks


@harness.needs_model
class Memory(harness.ProgramTest):
    def test_loading_takes_no_more_than_the_plan(self):
        for weights in ("auto", "nested", "bf16"):
            with self.subTest(weights=weights):
                options = ["--model", MODEL, "--weights", weights, "--context", 1024]
                plan = self.run_json("inspect", *options)["memory_bytes"]
                made = self.run_json("generate", *options, "--prompt", "Hi", "--max-tokens", 2)
                self.assertLessEqual(made["peak_rss_bytes"], plan["total"] + PROGRAM_BYTES)


if __name__ == "__main__":
    harness.main()
