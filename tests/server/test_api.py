"""What quantspec serve answers: shapes, order of events, usage, errors."""

import json
import threading

import server_harness
from server_harness import CONTEXT, GREEDY, ServerTest, text_of


class Models(ServerTest):
    def test_the_model_is_listed(self):
        status, body = self.server.get("/v1/models")
        self.assertEqual(status, 200)
        self.assertEqual(body["object"], "list")
        model, = body["data"]
        self.assertEqual((model["id"], model["object"], model["owned_by"]),
                         ("llama-long", "model", "quantspec"))
        self.assertEqual(model["max_model_len"], CONTEXT)
        self.assertEqual(model["meta"]["n_ctx_train"], CONTEXT)
        self.assertEqual(self.server.get("/v1/models/llama-long"), (200, model))
        self.assert_error(self.server.get("/v1/models/other"), 404, "model_not_found")

    def test_health_props_and_slots(self):
        self.assertEqual(self.server.get("/health"), (200, {"status": "ok"}))
        self.assertEqual(self.server.get("/props")[1]["n_ctx"], CONTEXT)
        self.assertEqual(self.server.get("/slots"), (200, []))

    def test_the_page_and_the_api_file_are_served(self):
        status, headers, body = self.server.request("GET", "/")
        self.assertEqual(status, 200)
        self.assertIn(b"<!doctype html>", body)
        policy = headers["Content-Security-Policy"]
        self.assertIn("default-src 'none'", policy)
        nonce = policy.split("'nonce-")[1].split("'")[0]
        self.assertIn(f'<script nonce="{nonce}">'.encode(), body)
        self.assertNotIn(b"@NONCE@", body)
        self.assertIn(b"openapi: 3", self.server.request("GET", "/openapi.yaml")[2])

    def test_unknown_paths_and_methods(self):
        self.assert_error(self.server.get("/v2/none"), 404, "not_found")
        self.assert_error(self.server.get("/v1/chat/completions"), 405)
        status, headers, _ = self.server.request("POST", "/v1/models", "{}")
        self.assertEqual((status, headers["Allow"]), (405, "GET"))
        status, headers, body = self.server.request("HEAD", "/health")
        self.assertEqual((status, body), (200, b""))

    def test_tokens_and_back(self):
        text = "Hello, <|x|> wörld"
        _, body = self.server.post("/tokenize", {"content": text})
        self.assertEqual(body["count"], len(body["tokens"]))
        self.assertEqual(self.server.post("/detokenize", {"tokens": body["tokens"]}),
                         (200, {"content": text}))
        _, pieces = self.server.post("/tokenize", {"content": text, "with_pieces": True})
        self.assertEqual([p["id"] for p in pieces["tokens"]], body["tokens"])
        self.assert_error(self.server.post("/detokenize", {"tokens": [-1]}), 400)
        self.assert_error(self.server.post("/detokenize", {"tokens": [10**9]}), 400)


class Chat(ServerTest):
    def test_a_plain_answer(self):
        status, body = self.server.chat(max_tokens=8)
        self.assertEqual(status, 200, body)
        self.assertEqual(body["object"], "chat.completion")
        self.assertTrue(body["id"].startswith("chatcmpl-"))
        choice, = body["choices"]
        self.assertEqual(choice["message"]["role"], "assistant")
        self.assertEqual(choice["finish_reason"], "length")
        usage = body["usage"]
        self.assertEqual(usage["completion_tokens"], 8)
        self.assertEqual(usage["total_tokens"], usage["prompt_tokens"] + 8)
        self.assertEqual(usage["prompt_tokens_details"]["cached_tokens"], 0)

    def test_a_stream_has_the_order_that_clients_expect(self):
        events = self.server.chat_events(max_tokens=12, stream_options={"include_usage": True})
        first, *deltas, last, usage, done = events
        self.assertEqual(first["choices"][0]["delta"], {"role": "assistant", "content": ""})
        self.assertIsNone(first["choices"][0]["finish_reason"])
        for delta in deltas:
            self.assertEqual(list(delta["choices"][0]["delta"]), ["content"])
        self.assertEqual(last["choices"][0]["delta"], {})
        self.assertEqual(last["choices"][0]["finish_reason"], "length")
        self.assertEqual(usage["choices"], [])
        self.assertEqual(usage["usage"]["completion_tokens"], 12)
        self.assertEqual(done, "[DONE]")
        self.assertEqual(len({e["id"] for e in events[:-1]}), 1)
        self.assertEqual({e["object"] for e in events[:-1]}, {"chat.completion.chunk"})

    def test_usage_comes_only_if_asked_for(self):
        events = self.server.chat_events(max_tokens=3)
        self.assertTrue(all(e["choices"] and "usage" not in e for e in events[:-1]))

    def test_a_stream_and_a_plain_answer_are_equal(self):
        for more in ({}, {"temperature": 0.8, "seed": 5}):
            plain = self.server.chat(max_tokens=60, **more)[1]["choices"][0]["message"]["content"]
            self.assertEqual(text_of(self.server.chat_events(max_tokens=60, **more)), plain)

    def test_several_answers_differ_and_the_first_is_that_of_one(self):
        sampled = {"temperature": 1.0, "seed": 3, "max_tokens": 20}
        _, body = self.server.chat(n=3, **sampled)
        texts = [c["message"]["content"] for c in body["choices"]]
        self.assertEqual([c["index"] for c in body["choices"]], [0, 1, 2])
        self.assertEqual(len(set(texts)), 3)
        self.assertEqual(texts[0], self.server.chat(**sampled)[1]["choices"][0]["message"]["content"])
        self.assertEqual(body["usage"]["completion_tokens"], 60)
        events = self.server.chat_events(n=3, **sampled)
        self.assertEqual({e["choices"][0]["index"] for e in events[:-1]}, {0, 1, 2})
        self.assertEqual(text_of(events), texts[0])

    def test_a_stop_text_ends_the_answer_before_it(self):
        whole = self.server.chat(max_tokens=60)[1]["choices"][0]["message"]["content"]
        stop = whole[20:23]
        _, body = self.server.chat(max_tokens=60, stop=["\0never", stop])
        self.assertEqual(body["choices"][0]["message"]["content"], whole[:whole.index(stop)])
        self.assertEqual(body["choices"][0]["finish_reason"], "stop")
        events = self.server.chat_events(max_tokens=60, stop=stop)
        self.assertEqual(text_of(events), whole[:whole.index(stop)])

    def test_logprobs_are_those_of_the_distribution(self):
        _, body = self.server.chat(max_tokens=5, logprobs=True, top_logprobs=3)
        content = body["choices"][0]["logprobs"]["content"]
        self.assertGreaterEqual(len(content), 4)
        for entry in content:
            self.assertLessEqual(entry["logprob"], 0)
            self.assertEqual(len(entry["top_logprobs"]), 3)
            # Greedy: the likeliest token was taken.
            self.assertEqual(entry["top_logprobs"][0]["logprob"], entry["logprob"])
            ranked = [top["logprob"] for top in entry["top_logprobs"]]
            self.assertEqual(ranked, sorted(ranked, reverse=True))
            self.assertEqual(bytes(entry["bytes"]).decode(errors="replace"), entry["token"])
        events = self.server.chat_events(max_tokens=5, logprobs=True, top_logprobs=3)
        streamed = [entry for e in events[:-1] for c in e["choices"] if c["logprobs"]
                    for entry in c["logprobs"]["content"]]
        self.assertEqual(streamed, content)

    def test_biases_and_penalties_change_what_is_chosen(self):
        request = {"prompt": "Once", "n_predict": 12, "n_probs": 1, **GREEDY}

        def ids(**more):
            _, body = self.server.post("/completion", {**request, **more})
            return [e["id"] for e in body["completion_probabilities"]]
        token = ids()[0]
        self.assertNotIn(token, ids(logit_bias=[[token, False]]))
        self.assertNotIn(token, ids(logit_bias={str(token): -100}))
        always = self.server.chat(max_tokens=4, logit_bias={"65": 100})[1]["choices"][0]
        self.assertEqual(len(set(always["message"]["content"])), 1)
        fresh = self.server.chat(max_tokens=8, logit_bias={str(t): 90 for t in range(65, 90)},
                                 presence_penalty=2, frequency_penalty=2)[1]["choices"][0]
        self.assertGreater(len(set(fresh["message"]["content"])), 1)

    def test_the_digest_is_an_option(self):
        self.assertNotIn("cache_digest", self.server.chat(max_tokens=4)[1])
        digests = {self.server.chat(max_tokens=4, cache_digest=True)[1]["cache_digest"]
                   for _ in range(2)}
        self.assertEqual(len(digests), 1)
        events = self.server.chat_events(max_tokens=4, cache_digest=True)
        self.assertEqual({e["cache_digest"] for e in events[:-1] if "cache_digest" in e}, digests)

    def test_the_digest_of_an_answer_that_a_stop_text_ends(self):
        whole = self.server.chat(max_tokens=80)[1]["choices"][0]["message"]["content"]
        asked = {"stop": whole[33:36], "max_tokens": 80, "cache_digest": True}
        body = self.server.chat(**asked)[1]
        count = body["usage"]["completion_tokens"]
        self.assertTrue(body["choices"][0]["finish_reason"] == "stop" and count < 80)
        # The cache is that of an answer of as many tokens, whoever else is there.
        same = self.server.chat(max_tokens=count, cache_digest=True)[1]
        self.assertEqual(body["cache_digest"], same["cache_digest"])
        events = self.server.chat_events(**asked)
        self.assertEqual({e["cache_digest"] for e in events[:-1] if "cache_digest" in e},
                         {same["cache_digest"]})
        with self.server.open_stream(n=4, max_tokens=1900):
            self.assertEqual(self.server.chat(**asked)[1]["cache_digest"], same["cache_digest"])

    def test_a_prompt_that_was_read_before_is_cached(self):
        prompt = "a long document " * 60
        cold = self.server.chat(prompt, max_tokens=20, cache_digest=True)[1]
        warm = self.server.chat(prompt, max_tokens=20, cache_digest=True)[1]
        self.assertEqual(cold["choices"], warm["choices"])
        self.assertGreaterEqual(warm["usage"]["prompt_tokens_details"]["cached_tokens"], 512)

    def test_answers_do_not_depend_on_who_else_is_there(self):
        prompts = [f"question {i} " * (1 + 7 * i) for i in range(8)]
        alone = [self.server.chat(p, max_tokens=40, cache_digest=True)[1]["choices"]
                 for p in prompts]
        together = [None] * 8

        def ask(i):
            together[i] = self.server.chat(prompts[i], max_tokens=40, cache_digest=True)[1]["choices"]
        threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(together, alone)

    def test_timings_and_progress_are_options(self):
        events = self.server.chat_events("x" * 1500, max_tokens=20, timings_per_token=True,
                                         return_progress=True)
        deltas = [e for e in events[:-1] if e["choices"] and "content" in e["choices"][0]["delta"]
                  and e["choices"][0]["delta"]["content"]]
        # What was held back to the end has none of its own.
        self.assertTrue(all("draft_n" in e["timings"] for e in deltas[:-1]))
        plain = self.server.chat_events(max_tokens=5)
        self.assertTrue(all("prompt_progress" not in e for e in plain[:-1]))


class Completions(ServerTest):
    def test_a_text_is_continued(self):
        status, body = self.server.post("/v1/completions", {"prompt": "Hello", "max_tokens": 6,
                                                            **GREEDY})
        self.assertEqual(status, 200, body)
        self.assertEqual(body["object"], "text_completion")
        self.assertEqual(body["usage"]["completion_tokens"], 6)

    def test_several_prompts_and_tokens(self):
        one = self.server.post("/v1/completions", {"prompt": "ab", "max_tokens": 6, **GREEDY})[1]
        tokens = self.server.post("/tokenize", {"content": "ab", "add_special": True})[1]["tokens"]
        both = self.server.post("/v1/completions", {"prompt": [tokens, tokens], "max_tokens": 6,
                                                    **GREEDY})[1]
        self.assertEqual([c["text"] for c in both["choices"]], [one["choices"][0]["text"]] * 2)
        self.assertEqual(both["usage"]["prompt_tokens"], 2 * one["usage"]["prompt_tokens"])

    def test_a_stream_equals_the_plain_answer(self):
        request = {"prompt": "Once", "max_tokens": 30, "logprobs": 2, **GREEDY}
        plain = self.server.post("/v1/completions", request)[1]["choices"][0]
        events = self.server.events("/v1/completions", request)
        self.assertEqual(events[-1], "[DONE]")
        self.assertEqual("".join(e["choices"][0]["text"] for e in events[:-1]), plain["text"])
        offsets = [o for e in events[:-1] if e["choices"][0]["logprobs"]
                   for o in e["choices"][0]["logprobs"]["text_offset"]]
        self.assertEqual(offsets, plain["logprobs"]["text_offset"])
        self.assertEqual(len(plain["logprobs"]["top_logprobs"][0]), 2)

    def test_llama_cpps_shape(self):
        _, body = self.server.post("/completion", {"prompt": "Once", "n_predict": 6, **GREEDY})
        self.assertTrue(body["stop"])
        self.assertEqual((body["tokens_predicted"], body["stop_type"]), (6, "limit"))
        self.assertGreater(body["timings"]["predicted_per_second"], 0)
        events = self.server.events("/completion", {"prompt": "Once", "n_predict": 6, **GREEDY})
        self.assertEqual("".join(e["content"] for e in events), body["content"])
        self.assertEqual([e["stop"] for e in events], [False] * (len(events) - 1) + [True])


class Errors(ServerTest):
    def test_overflow_is_told_as_clients_recognise_it(self):
        answer = self.server.chat("x" * 3000)
        self.assert_error(answer, 400, "context_length_exceeded")
        self.assertTrue(answer[1]["error"]["message"].startswith(
            f"This model's maximum context length is {CONTEXT} tokens"))
        self.assertEqual(answer[1]["error"]["n_ctx"], CONTEXT)
        self.assertGreater(answer[1]["error"]["n_prompt_tokens"], CONTEXT)

    def test_more_tokens_than_the_context_has_end_at_it(self):
        _, body = self.server.chat("x" * 2000, max_tokens=1000000)
        self.assertEqual(body["choices"][0]["finish_reason"], "length")
        self.assertEqual(body["usage"]["total_tokens"], CONTEXT)

    def test_bodies_that_are_no_requests(self):
        for body in ("", "{", "[]", "7", '{"messages": 5}', '{"messages": []}', "\0" * 50,
                     '{"messages": [{"role": "user", "content": "\ud800"}]}'.encode(
                         "utf-8", "surrogatepass")):
            self.assert_error(self.server.post("/v1/chat/completions", body), 400)

    def test_unsupported_fields_are_refused_and_unknown_ones_ignored(self):
        self.assert_error(self.server.chat(tools=[{"type": "function"}]), 400,
                          "unsupported_parameter")
        self.assert_error(self.server.chat(response_format={"type": "json_object"}), 400,
                          "unsupported_parameter")
        self.assertEqual(self.server.chat(max_tokens=2, surprise={"a": [1]}, tools=[],
                                          tool_choice="none")[0], 200)

    def test_deep_json_is_refused_at_once(self):
        for deep in ("[" * 100000, '{"a":' * 100000):
            self.assert_error(self.server.post("/v1/chat/completions", '{"messages":' + deep,
                                               limit_s=5), 400)

    def test_a_template_that_refuses_is_an_error_of_the_request(self):
        self.assert_error(self.server.chat(chat_template_kwargs=5), 400)


class WithoutTemplate(ServerTest):
    @classmethod
    def setUpClass(cls):
        cls.server = server_harness.Server(template=False)

    def test_chat_says_what_to_do(self):
        self.assert_error(self.server.chat(), 400, "unsupported_parameter", "--chat-template")
        self.assertEqual(self.server.post("/v1/completions", {"prompt": "x", "max_tokens": 2})[0],
                         200)


if __name__ == "__main__":
    server_harness.main()
