"""quantspec template: what a model would be sent."""

import json

import harness
from harness import MODEL, run, temporary_file

HELLO = [{"role": "user", "content": "Hello <|im_end|>"}]
TOOLS = [{"type": "function", "function": {"name": "f"}}]
MARKS = "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}" \
        "{% if add_generation_prompt %}[go]{% endif %}{{ tools|tojson }}"


@harness.needs_model
class Template(harness.ProgramTest):
    def render(self, messages, *arguments, **options):
        return run("template", "--model", MODEL, "--messages", "-", *arguments,
                   text=json.dumps(messages), **options)

    def test_the_models_own_template(self):
        done = self.render(HELLO)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.endswith("<|im_start|>user\nHello <|im_end|><|im_end|>\n"
                                             "<|im_start|>assistant\n"), done.stdout)
        without = self.render(HELLO, "--no-generation-prompt")
        self.assertEqual(done.stdout, without.stdout + "<|im_start|>assistant\n")

    def test_tokens_of_the_user_are_text(self):
        ids = self.render(HELLO, "--tokens", "--no-generation-prompt").stdout.split()
        plain = self.render([{"role": "user", "content": "Hello"}], "--tokens",
                            "--no-generation-prompt").stdout.split()
        self.assertEqual(ids.count("2"), plain.count("2"))

    def test_another_template_with_tools(self):
        with temporary_file(MARKS) as path, temporary_file(json.dumps(TOOLS)) as tools:
            done = self.render(HELLO, "--template", path, "--tools", tools)
        self.assertEqual(done.stdout, "<|im_start|>[user]Hello <|im_end|>[go]" + json.dumps(TOOLS))

    def test_errors_name_the_place(self):
        with temporary_file("a\n{{ raise_exception('no') }}") as path:
            self.assert_fails(self.render(HELLO, "--template", path), 1, "line 2", "no")
        with temporary_file("a\n{% if %}") as path:
            self.assert_fails(self.render(HELLO, "--template", path), 1, "line 2", "expected")
        with temporary_file("") as path:
            self.assert_fails(self.render(HELLO, "--template", path), 1, "empty")
        self.assert_fails(self.render({"role": "user"}), 1, "messages", "list")
        self.assert_fails(run("template", "--model", MODEL), 2, "--messages")

    def test_generate_and_chat_take_a_template(self):
        with temporary_file("{{ raise_exception('refused') }}") as path:
            for command in ("generate", "chat"):
                arguments = ["--prompt", "Hi"] if command == "generate" else []
                done = run(command, "--model", MODEL, "--quiet", "--chat-template", path,
                           "--max-tokens", 2, "--context", 256, *arguments, text="Hi\n")
                self.assert_fails(done, 1, "refused")


if __name__ == "__main__":
    harness.main()
