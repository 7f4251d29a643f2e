"""Sessions of real clients with quantspec serve, by hand:

    pip install openai litellm langchain-openai llm
    QUANTSPEC_EXECUTABLE=build/release/quantspec python3 tests/server/clients.py MODEL

Besides, the bodies that editors send, and the examples of docs/server.md as they stand there.
"""

import contextlib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from server_harness import Server, text_of

QUESTION = [{"role": "user", "content": "What is two plus two?"}]
GUIDE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "server.md"


def check(ok, what):
    if not ok:
        raise AssertionError(what)
    print("  " + what)


def try_openai(address):
    import openai
    client = openai.OpenAI(base_url=address, api_key="none", max_retries=0)
    check(client.models.list().data[0].id, "openai: models")
    answer = client.chat.completions.create(model="m", messages=QUESTION, max_tokens=20,
                                            temperature=0, logprobs=True, top_logprobs=2)
    text = answer.choices[0].message.content
    check(text and len(answer.choices[0].logprobs.content[0].top_logprobs) == 2, "openai: chat")
    events = list(client.chat.completions.create(
        model="m", messages=QUESTION, max_tokens=20, temperature=0, stream=True,
        stream_options={"include_usage": True}))
    joined = "".join(e.choices[0].delta.content or "" for e in events if e.choices)
    check(joined == text and events[-1].usage.completion_tokens > 0, "openai: stream")
    check(client.completions.create(model="m", prompt="Once", max_tokens=5).choices[0].text,
          "openai: completions")
    try:
        client.chat.completions.create(model="m", messages=[
            {"role": "user", "content": "word " * 40000}])
        check(False, "openai: overflow")
    except openai.BadRequestError as error:
        check(error.code == "context_length_exceeded", "openai: overflow")


def try_litellm(address):
    import litellm
    options = {"model": "openai/m", "api_base": address, "api_key": "none", "messages": QUESTION,
               "max_tokens": 20, "temperature": 0}
    answer = litellm.completion(**options)
    text = answer.choices[0].message.content
    check(text and answer.usage.prompt_tokens > 0, "litellm: chat")
    parts = [e.choices[0].delta.content or ""
             for e in litellm.completion(**options, stream=True) if e.choices]
    check("".join(parts) == text, "litellm: stream")
    try:
        litellm.completion(**{**options, "messages": [
            {"role": "user", "content": "word " * 40000}]})
        check(False, "litellm: overflow")
    except litellm.ContextWindowExceededError:
        check(True, "litellm: overflow")


def try_langchain(address):
    from langchain_openai import ChatOpenAI
    model = ChatOpenAI(base_url=address, api_key="none", model="m", temperature=0,
                       max_tokens=20, stream_usage=True)
    answer = model.invoke("What is two plus two?")
    check(answer.content and answer.usage_metadata["input_tokens"] > 0, "langchain: invoke")
    joined = None
    for part in model.stream("What is two plus two?"):
        joined = part if joined is None else joined + part
    check(joined.content == answer.content and joined.usage_metadata["output_tokens"] > 0,
          "langchain: stream")


def try_llm(address):
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "extra-openai-models.yaml").write_text(
            f"- model_id: quantspec\n  model_name: m\n  api_base: {address}\n")
        pathlib.Path(folder, "keys.json").write_text(json.dumps({"openai": "none"}))
        program = pathlib.Path(sys.executable).parent / "llm"
        for more in ([], ["--no-stream"]):
            done = subprocess.run([program, "-m", "quantspec", "-o", "max_tokens", "20",
                                   "What is two plus two?", *more], capture_output=True, text=True,
                                  env={**os.environ, "LLM_USER_PATH": folder}, check=False)
            check(done.returncode == 0 and done.stdout.strip(),
                  f"llm: {more or 'stream'} {done.stderr[-200:]}")


def try_editors(server):
    """What Cline, Continue and LangChain put into their bodies."""
    parts = [{"type": "text", "text": "What is two"}, {"type": "text", "text": "plus two?"}]
    chat = {"model": "m", "temperature": 0, "stream": True,
            "stream_options": {"include_usage": True}}
    events = server.events("/v1/chat/completions", {
        **chat, "max_completion_tokens": 9, "prompt_cache_key": "task-1", "cache_salt": "mine",
        "messages": [{"role": "developer", "content": "Be brief."},
                     {"role": "user", "content": parts},
                     {"role": "assistant", "content": None}, *QUESTION],
        "tools": [], "parallel_tool_calls": True, "reasoning_effort": "low", "user": "me",
        "n": 1, "store": False, "metadata": {}})
    usage = events[-2]
    check(usage["choices"] == [] and 0 < usage["usage"]["completion_tokens"] <= 9,
          "editors: max_completion_tokens alone, usage last")
    check(text_of(events), "editors: parts, developer, an assistant without content")

    def answer(content):
        return server.post("/v1/chat/completions", {
            "messages": [{"role": "user", "content": content}], "max_tokens": 9,
            "temperature": 0})[1]["choices"]
    check(answer("Hi") == answer([{"type": "text", "text": "Hi"}]),
          "editors: a text and a list of one part are equal")
    headers = {"Content-Type": "application/json", "Authorization": "Bearer undefined"}
    body = {"prompt": "Once upon", "n_predict": 16, "temperature": 0, "top_k": 40, "top_p": 1,
            "min_p": 0, "presence_penalty": 0, "frequency_penalty": 0, "mirostat": 0,
            "stop": ["<|im_end|>", "\n\n\n"]}
    events = server.events("/completion", body, headers)
    whole = server.post("/completion", body, headers=headers)[1]
    check("".join(e["content"] for e in events) == whole["content"] != "" and events[-1]["stop"] and
          "predicted_per_second" in events[-1]["timings"], "editors: /completion of llama.cpp")


def examples(language):
    """The client examples of the guide."""
    text = GUIDE.read_text().split("\n## Clients\n")[1]
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def try_guide(server):
    def here(text):
        return text.replace("http://127.0.0.1:8080", f"http://127.0.0.1:{server.port}")
    curl = examples("sh")[0]  # those behind it run these scripts
    done = subprocess.run(here(curl), shell=True, capture_output=True, text=True, check=True)
    check(json.loads(done.stdout)["choices"][0]["message"]["content"], "guide: curl")
    for code in examples("python"):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(here(code), {})
        check(True, "guide: " + re.search(r"^(?:import|from) (\w+)", code, re.M).group(1))
    yaml = examples("yaml")
    check(len(yaml) == 2 and all("http://127.0.0.1:8080" in text for text in yaml),
          "guide: llm and Continue")
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "extra-openai-models.yaml").write_text(here(yaml[0]))
        pathlib.Path(folder, "keys.json").write_text(json.dumps({"openai": "none"}))
        program = pathlib.Path(sys.executable).parent / "llm"
        done = subprocess.run([program, "-m", "quantspec", "Hi"], capture_output=True, text=True,
                              check=False, env={**os.environ, "LLM_USER_PATH": folder})
        check(done.returncode == 0 and done.stdout.strip(), "guide: llm " + done.stderr[-200:])


def main():
    with Server(model=sys.argv[1], template=False) as server:
        address = f"http://127.0.0.1:{server.port}/v1"
        for client in (try_openai, try_litellm, try_langchain, try_llm):
            client(address)
        try_editors(server)
        try_guide(server)


if __name__ == "__main__":
    main()
