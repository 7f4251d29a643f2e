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

    def test_advice_on_sampling_is_shown_and_taken_when_asked_for(self):
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary) / "model"
            shutil.copytree(FOLDERS / "mistral", folder)
            generation = {"do_sample": True, "temperature": 2.5, "top_k": 40, "top_p": 0.9}
            (folder / "generation_config.json").write_text(json.dumps(generation))
            shown = self.run_json("inspect", folder, "--context", 64)
            self.assertEqual(shown["sampling"], {"temperature": 2.5, "top_k": 40, "top_p": 0.9})

            def answer(*arguments):
                return self.run_json("generate", "--model", folder, "--prompt", "the tea", "--chat",
                                     "off", "--ignore-eos", "--max-tokens", 24, "--seed", 3,
                                     *arguments)["tokens"]
            advised = answer("--sampling", "model")
            self.assertEqual(advised, answer("--temperature", 2.5, "--top-k", 40, "--top-p", 0.9))
            self.assertNotEqual(advised, answer())
            self.assertEqual(answer(), answer("--sampling", "model", "--temperature", 0))
            done = run("generate", "--model", folder, "--prompt", "a", "--chat", "off",
                       "--max-tokens", 1, "--sampling", "model")
            self.assertIn("the model advises temperature 2.5, top-k 40, top-p 0.9", done.stderr)

    def test_a_folder_may_have_several_templates(self):
        named = [{"name": "default", "template": "plain"},
                 {"name": "tool_use", "template": "{{ tools|length }} tools"}]
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary) / "model"
            shutil.copytree(FOLDERS / "mistral", folder)
            settings = folder / "tokenizer_config.json"
            settings.write_text(json.dumps({"chat_template": named}))
            (folder / "messages.json").write_text("[]")
            (folder / "tools.json").write_text("[{}]")

            def render(*arguments):
                done = run("template", "--model", folder, "--messages", folder / "messages.json",
                           *arguments)
                self.assertEqual(done.returncode, 0, done.stderr)
                return done.stdout, done.stderr
            self.assertEqual(render()[0], "plain")
            self.assertIn("template default", render()[1])
            self.assertEqual(render("--tools", folder / "tools.json")[0], "1 tools")
            self.assertIn("template tool_use", render("--tools", folder / "tools.json")[1])
            shown = self.run_json("inspect", folder, "--context", 64)
            self.assertEqual(shown["metadata"]["chat_templates"], "default, tool_use")
            # Files go before the setting.
            (folder / "chat_template.jinja").write_text("from a file")
            self.assertEqual(render("--tools", folder / "tools.json"), ("from a file", ""))
            (folder / "additional_chat_templates").mkdir()
            (folder / "additional_chat_templates" / "tool_use.jinja").write_text("another file")
            self.assertEqual(render("--tools", folder / "tools.json")[0], "another file")
            self.assertEqual(render()[0], "from a file")

    def test_tokens_may_come_from_tokenizer_model(self):
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary) / "model"
            shutil.copytree(FOLDERS / "mistral", folder)
            (folder / "tokenizer.json").unlink()
            done = run("tokenize", "--model", folder, "--prompt", "a")
            self.assert_fails(done, 1, "no tokenizer.json and no tokenizer.model")
            golden = FOLDERS.parent / "sentencepiece"
            shutil.copy(golden / "tiny.model", folder / "tokenizer.model")
            text, ids, _ = json.loads((golden / "expected.json").read_text())["first_random"][0]
            shown = self.run_json("tokenize", "--model", folder, "--prompt", text)
            self.assertEqual(shown["tokens"], [1, *ids])
            (folder / "tokenizer_config.json").write_text('{"add_bos_token": false}')
            (folder / "added_tokens.json").write_text('{"<|im_end|>": 600}')
            shown = self.run_json("tokenize", "--model", folder, "--prompt", text + "<|im_end|>",
                                  "--special")
            self.assertEqual(shown["tokens"], [*ids, 600])

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
