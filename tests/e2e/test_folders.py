"""Hugging Face folders: every command takes them; speculative output is plain output."""

import json
import pathlib
import shutil
import tempfile

import harness
from harness import run

FOLDERS = pathlib.Path(harness.TINY_MODELS).parent / "hf_models"
NAMES = sorted(path.parent.name for path in FOLDERS.glob("*/config.json"))


class Folders(harness.ProgramTest):
    def test_all_show_their_tensors_without_reading_them(self):
        self.assertGreater(len(NAMES), 15)
        for name in NAMES:
            shown = self.run_json("inspect", FOLDERS / name, "--context", 64)
            self.assertEqual(shown["model"]["name"], name)
            self.assertEqual(shown["model"]["vocab"], 260)

    def test_speculative_output_is_plain_output(self):
        for name in NAMES:
            answers = [self.run_json("generate", "--model", FOLDERS / name, "--prompt", "the tea",
                                     "--chat", "off", "--ignore-eos", "--max-tokens", 24,
                                     "--gamma", gamma) for gamma in (0, 3)]
            for key in ("tokens", "cache_digest"):
                self.assertEqual(answers[0][key], answers[1][key], name)

    def test_tokens_come_from_tokenizer_json(self):
        shown = self.run_json("tokenize", "--model", FOLDERS / "qwen3-v5", "--prompt", "the a")
        self.assertEqual(shown["tokens"], [257, 32, 97])

    def test_links_are_followed_and_missing_shards_are_named(self):
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary) / "models--org--tiny" / "snapshots" / "abc"
            folder.mkdir(parents=True)
            for path in (FOLDERS / "llama3-shards").iterdir():
                (folder / path.name).symlink_to(path)
            shown = self.run_json("inspect", folder, "--context", 64)
            self.assertEqual(shown["model"]["name"], "tiny")
            (folder / "model-00002-of-00003.safetensors").unlink()
            done = run("inspect", folder)
            self.assertEqual(done.returncode, 1)
            self.assertIn("model-00002-of-00003.safetensors: is missing", done.stderr)

    def test_what_is_missing_is_named(self):
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary) / "model"
            shutil.copytree(FOLDERS / "mistral", folder)
            config = json.loads((folder / "config.json").read_text())
            for key, value, said in (("model_type", "gemma4_text", "heads of several widths"),
                                     ("model_type", "mixtral", "mixture of experts"),
                                     ("quantization_config", {"quant_method": "bitsandbytes"},
                                      "bitsandbytes")):
                (folder / "config.json").write_text(json.dumps({**config, key: value}))
                done = run("generate", "--model", folder, "--prompt", "a")
                self.assertEqual(done.returncode, 1)
                self.assertIn(said, done.stderr)


if __name__ == "__main__":
    harness.main()
